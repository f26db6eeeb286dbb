/* SPDX-License-Identifier: ISC */
/* The header section of a message: what is dropped, added, defused and counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "common/mail/auth_results.h"
#include "common/mail/header_edit.h"
#include "common/mail/received.h"

static const struct slice dropped[] = {SLICE("bcc"), SLICE("content-length"), SLICE("resent-bcc"), SLICE("return-path")};

static const struct {
    const char *in;
    bool complete;
    const char *out;
    const char *message_id;
    unsigned hops;
} cases[] = {
    {"Subject: x\n\nbody\n", false, "Subject: x\n\nbody\n", "", 0},
    {"Subject: x\n\nbody\n", true, "Subject: x\nMessage-Id: <id>\nDate: now\nFrom: me\n\nbody\n", "<id>", 0},
    {"From: a\nDate: b\nMESSAGE-ID: <c>\n\n", true, "From: a\nDate: b\nMESSAGE-ID: <c>\n\n", "<c>", 0},
    {"Bcc: a,\n b\n\tc\nTo: d\nReturn-Path: <x>\nCONTENT-LENGTH: 5\n\nx\n", false, "To: d\n\nx\n", "", 0},
    {"bcc : a\nSubject : b\n\n", false, "Subject: b\n\n", "", 0},
    {"From x y\nTo: z\n\n", false, "X-Mailbox-Line: From x y\nTo: z\n\n", "", 0},
    {">From x y\nTo: z\n\n", false, "X-Mailbox-Line: >From x y\nTo: z\n\n", "", 0},
    {"To: z\nFrom x y\nA: b\n\n", false, "To: z\n\nFrom x y\nA: b\n\n", "", 0},
    {"no header\nbody\n", true, "Message-Id: <id>\nDate: now\nFrom: me\n\nno header\nbody\n", "<id>", 0},
    {"A: b\nno header\n", false, "A: b\n\nno header\n", "", 0},
    {" folded first\n", false, "\n folded first\n", "", 0},
    {"A: b\n", true, "A: b\nMessage-Id: <id>\nDate: now\nFrom: me\n", "<id>", 0},
    {"", true, "Message-Id: <id>\nDate: now\nFrom: me\n", "<id>", 0},
    {"\nbody\n", false, "\nbody\n", "", 0},
    {"Resent-From: a\n\n", true, "Resent-From: a\nResent-Message-Id: <id>\nResent-Date: now\n\n", "", 0},
    {"Received: a\nReceived: b\n c\nX-Received: d\nreceived:e\n\nReceived: f\n", false,
     "Received: a\nReceived: b\n c\nX-Received: d\nreceived:e\n\nReceived: f\n", "", 3},
    {"Message-Id: \n <folded> \nMessage-Id: <second>\n\n", false, "Message-Id: \n <folded> \nMessage-Id: <second>\n\n", "<folded> ", 0},
    {"A\x80: b\n\n", false, "\nA\x80: b\n\n", "", 0},
    {": b\n\n", false, "\n: b\n\n", "", 0},
};

static void headers_are_edited(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct header_rules rules = {.drop = dropped, .drop_count = 4, .complete = cases[i].complete,
                                     .new_message_id = "<id>", .new_date = "now", .new_from = "me"};
        struct header_facts facts;
        struct str out = STR_EMPTY;
        size_t taken = header_edit(slice_of(cases[i].in), true, &rules, &out, &facts);
        str_append(&out, cases[i].in + taken);
        if (strcmp(str_text(&out), cases[i].out) != 0)
            fail_msg("case %zu: \"%s\"", i, str_text(&out));
        assert_true(slice_equal(facts.message_id, slice_of(cases[i].message_id)));
        assert_int_equal(facts.received_count, cases[i].hops);
        str_free(&out);
    }
}

static void a_bare_nul_is_no_end_of_the_header(void **state)
{
    (void)state;
    struct header_rules rules = {.drop = dropped, .drop_count = 4};
    struct header_facts facts;
    struct str out = STR_EMPTY;
    struct slice in = SLICE("A: b\0c\nBcc: d\0\n e\n\nx\n");
    size_t taken = header_edit(in, true, &rules, &out, &facts);
    assert_int_equal(taken, in.len - 2);
    assert_true(slice_equal(str_slice(&out), SLICE("A: b\0c\n\n")));
    str_free(&out);
}

static void trace_and_stamps(void **state)
{
    (void)state;
    struct str out = STR_EMPTY;
    struct received_line line = {"c.example", "unknown", "192.0.2.1", "mx.example", "Postfix", "ESMTP", "4FD99A72847",
                                 "a@b.example", 1795300992};
    received_append(&line, &out);
    assert_string_equal(str_text(&out), "Received: from c.example (unknown [192.0.2.1])\n\tby mx.example (Postfix) with ESMTP id "
                        "4FD99A72847\n\tfor <a@b.example>; Sat, 21 Nov 2026 22:43:12 +0000 (UTC)\n");
    str_clear(&out);
    line.helo_name = line.only_recipient = NULL;
    line.client_address = "2001:db8::1";
    received_append(&line, &out);
    assert_string_equal(str_text(&out), "Received: from unknown (unknown [IPv6:2001:db8::1])\n\tby mx.example (Postfix) with ESMTP id "
                        "4FD99A72847;\n\tSat, 21 Nov 2026 22:43:12 +0000 (UTC)\n");
    str_clear(&out);
    message_id_append(1795300992, "QID", "mx.example", &out);
    assert_string_equal(str_text(&out), "<20261121224312.QID@mx.example>");
    str_free(&out);
}

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

/* A section that comes in two parts, cut anywhere, is edited as one; only what is known to be whole is taken. */
static void sections_come_in_parts(void **state)
{
    (void)state;
    static const char in[] = "A: 1\n 2\nBcc: x,\n y\nAuthentication-Results:\n (c) me;\n spf=pass\nMessage-Id: <m>\nZ: 9\n\nBcc: body\n";
    static const char expected[] = "A: 1\n 2\nMessage-Id: <m>\nZ: 9\nDate: now\nFrom: me\n\nBcc: body\n";
    for (size_t cut = strlen("A: 1\n 2\nB"); cut < sizeof in - 1; cut++) {
        struct header_rules rules = {.drop = dropped, .drop_count = 4, .complete = true, .forged_results_id = "ME",
                                     .new_message_id = "<id>", .new_date = "now", .new_from = "me"};
        struct header_facts facts;
        struct str out = STR_EMPTY;
        size_t taken = header_edit(slice_range(in, cut), false, &rules, &out, &facts);
        rules.is_continued = true;
        if (!facts.ended)
            taken += header_edit(slice_of(in + taken), true, &rules, &out, &facts);
        str_append(&out, in + taken);
        if (strcmp(str_text(&out), expected) != 0)
            fail_msg("cut at %zu: \"%s\"", cut, str_text(&out));
        str_free(&out);
    }
}

static void forged_results_are_found(void **state)
{
    static const struct { const char *value; bool is_ours; } values[] = {
        {" me; spf=pass\n", true}, {" ME 1; spf=pass\n", true}, {"me;x", true}, {"\n\t(a (b) \\) c)\n me\n", true}, {" \"m\\e\";", true},
        {" \"me\";", true}, {" \"me\n\";", true}, {"me(x)y", true}, {"me", true}, {" mee; spf=pass\n", false}, {" m; spf=pass\n", false},
        {" me.test; x\n", false}, {" \"me.test\"; x\n", false}, {"", false}, {" (me) you;", false}, {" (me", false}, {" \"m", false},
        {";me", false}, {" you; me\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (auth_results_claims(slice_of(values[i].value), SLICE("me")) != values[i].is_ours)
            fail_msg("\"%s\"", values[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_edited), cmocka_unit_test(a_bare_nul_is_no_end_of_the_header),
        cmocka_unit_test(trace_and_stamps),
        cmocka_unit_test(sections_come_in_parts),
        cmocka_unit_test(forged_results_are_found),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
