/* SPDX-License-Identifier: ISC */
/* The client side of SMTP and LMTP, pure parts: replies, capabilities, content, next hops, commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mail/quote.h"
#include "common/smtp/client/capabilities.h"
#include "common/smtp/client/content_writer.h"
#include "common/smtp/client/next_hop.h"
#include "common/smtp/client/reply.h"
#include "common/smtp/client/transaction.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(literal) ((char *)(literal)) /* for fields that nobody writes to */

/* --- replies ------------------------------------------------------------------------- */

static enum smtp_reply_status feed(struct smtp_reply *reply, const char *text)
{
    struct slice rest = slice_of(text), line;
    enum smtp_reply_status status = SMTP_REPLY_MORE;
    while (status == SMTP_REPLY_MORE && slice_next_token(&rest, "|", &line))
        status = smtp_reply_add_line(reply, line);
    return status;
}

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        enum smtp_reply_status status;
        int code;
        const char *dsn, *text;
    } cases[] = {
        {"250 2.1.5 Ok", SMTP_REPLY_DONE, 250, "2.1.5", "250 2.1.5 Ok"},
        {"250", SMTP_REPLY_DONE, 250, "2.0.0", "250"},
        {"250 ", SMTP_REPLY_DONE, 250, "2.0.0", "250 "},
        {"250 2.1.5", SMTP_REPLY_DONE, 250, "2.1.5", "250 2.1.5"},
        {"250   2.1.5 x", SMTP_REPLY_DONE, 250, "2.1.5", "250   2.1.5 x"},
        {"550-5.1.1 <x>... User|550 5.1.1 unknown", SMTP_REPLY_DONE, 550, "5.1.1",
         "550-5.1.1 <x>... User 550 5.1.1 unknown"},
        {"550 4.1.1 class differs", SMTP_REPLY_DONE, 550, "5.0.0", "550 4.1.1 class differs"},
        {"550 5.1.1.1 four parts", SMTP_REPLY_DONE, 550, "5.0.0", "550 5.1.1.1 four parts"},
        {"550 5.1000.1 long part", SMTP_REPLY_DONE, 550, "5.0.0", "550 5.1000.1 long part"},
        {"550 5.123.123 longest", SMTP_REPLY_DONE, 550, "5.123.123", "550 5.123.123 longest"},
        {"354 go ahead", SMTP_REPLY_DONE, 354, "3.0.0", "354 go ahead"},
        {"250-a|250-b", SMTP_REPLY_MORE, 250, "", "250-a 250-b"},
        {"250 \x01\xff", SMTP_REPLY_DONE, 250, "2.0.0", "250 ??"},
        /* attack 9: nothing that could be taken for another command's answer */
        {"250-a|550 b", SMTP_REPLY_MALFORMED, 250, "", "250-a 550 b"},
        {"550-a|250 b", SMTP_REPLY_MALFORMED, 550, "", "550-a 250 b"},
        {"250-a|garbage", SMTP_REPLY_MALFORMED, 250, "", "250-a garbage"},
        {"25", SMTP_REPLY_MALFORMED, 0, "", "25"},
        {"2500 x", SMTP_REPLY_MALFORMED, 0, "", "2500 x"},
        {"250x", SMTP_REPLY_MALFORMED, 0, "", "250x"},
        {"150 x", SMTP_REPLY_MALFORMED, 0, "", "150 x"},
        {"650 x", SMTP_REPLY_MALFORMED, 0, "", "650 x"},
        {" 250 x", SMTP_REPLY_MALFORMED, 0, "", " 250 x"},
        {"OK", SMTP_REPLY_MALFORMED, 0, "", "OK"},
        {"+50 x", SMTP_REPLY_MALFORMED, 0, "", "+50 x"},
    };
    struct arena *arena = arena_new();
    struct smtp_reply reply = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        smtp_reply_reset(&reply);
        assert_int_equal(feed(&reply, cases[i].lines), cases[i].status);
        assert_int_equal(reply.code, cases[i].code);
        assert_string_equal(reply.dsn, cases[i].dsn);
        assert_string_equal(smtp_reply_one_line(&reply, arena), cases[i].text);
    }
    smtp_reply_reset(&reply);
    assert_int_equal(smtp_reply_add_line(&reply, slice_range("", 0)), SMTP_REPLY_MALFORMED);
    smtp_reply_free(&reply);
    arena_free(arena);
}

static void test_reply_bounds(void **state)
{
    (void)state;
    struct smtp_reply reply = {0};
    char line[SMTP_REPLY_LINE_MAX];
    memset(line, 'x', sizeof line);
    memcpy(line, "250-", 4);
    enum smtp_reply_status status = SMTP_REPLY_MORE;
    unsigned lines = 0;
    while (status == SMTP_REPLY_MORE && lines < 10 * SMTP_REPLY_LINES_MAX) {
        status = smtp_reply_add_line(&reply, slice_range(line, sizeof line));
        lines++;
    }
    assert_int_equal(status, SMTP_REPLY_TOO_LONG);
    assert_int_equal(lines, SMTP_REPLY_LINES_MAX + 1);
    assert_true(reply.text.len <= 2 * SMTP_REPLY_TEXT_MAX);
    smtp_reply_free(&reply);
}

/* --- capabilities ------------------------------------------------------------------------ */

static void test_capabilities(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned ignore, flags;
        uint64_t size;
    } cases[] = {
        {"250-host\n250-PIPELINING\n250-8BITMIME\n250 SIZE 1000", 0,
         SMTP_CAN_PIPELINE | SMTP_CAN_8BITMIME | SMTP_CAN_SIZE, 1000},
        {"250-PIPELINING\n250 pipelining", 0, SMTP_CAN_PIPELINE, 0},
        {"250 PIPELINING", 0, 0, 0},
        {"250-host\n250-dsn\n250-SMTPUTF8\n250 ENHANCEDSTATUSCODES", 0,
         SMTP_CAN_DSN | SMTP_CAN_SMTPUTF8 | SMTP_CAN_8BITMIME | SMTP_CAN_STATUSCODES, 0},
        {"250-host\n250-PIPELINING\n250 DSN", SMTP_CAN_PIPELINE, SMTP_CAN_DSN, 0},
        {"250-host\n250-SIZE=77\n250 AUTH=LOGIN", 0, SMTP_CAN_SIZE | SMTP_CAN_AUTH, 77},
        {"250-host\n250 SIZE 99999999999999999999999", 0, SMTP_CAN_SIZE, 0},
        {"250-host\n250 SIZE -1", 0, SMTP_CAN_SIZE, 0},
        {"250-host\n250-SIZE 5\n250 SIZE x", SMTP_CAN_SIZE, 0, 0},
        {"250-host\n250-\n250 PIPELININGX", 0, 0, 0},
        {"", 0, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct smtp_capabilities can;
        smtp_capabilities_parse(slice_of(cases[i].text), cases[i].ignore, &can);
        assert_int_equal(can.flags, cases[i].flags);
        assert_int_equal(can.size_limit, cases[i].size);
    }
}

static void test_discarded_words(void **state)
{
    (void)state;
    bool silent;
    struct slice unknown;
    assert_int_equal(smtp_capabilities_from_words("dsn, Pipelining silent-discard", &silent, &unknown),
                     SMTP_CAN_DSN | SMTP_CAN_PIPELINE);
    assert_true(silent);
    assert_int_equal(unknown.len, 0);
    assert_int_equal(smtp_capabilities_from_words("size,teapot", &silent, &unknown), SMTP_CAN_SIZE);
    assert_false(silent);
    assert_true(slice_equal(unknown, SLICE("teapot")));
}

/* --- content --------------------------------------------------------------------------------- */

static const struct {
    const char *in;
    size_t limit;
    const char *out;
} contents[] = {
    {"", 998, ".\r\n"},
    {"a\n", 998, "a\r\n.\r\n"},
    {"a", 998, "a\r\n.\r\n"},
    {"\n", 998, "\r\n.\r\n"},
    {"\n\n", 998, "\r\n\r\n.\r\n"},
    {".\n", 998, "..\r\n.\r\n"},
    {".", 998, "..\r\n.\r\n"},
    {"..\n.a\na.\n", 998, "...\r\n..a\r\na.\r\n.\r\n"},
    {"a\n.\nb\n", 998, "a\r\n..\r\nb\r\n.\r\n"},
    /* attack 1: no line end but CRLF leaves */
    {"a\r\n", 998, "a \r\n.\r\n"},
    {"a\r.\r\nb", 998, "a . \r\nb\r\n.\r\n"},
    {"a\n\r.\r\n", 998, "a\r\n . \r\n.\r\n"},
    {"\r\n.\r\n", 998, " \r\n.. \r\n.\r\n"},
    {"\r", 998, " \r\n.\r\n"},
    /* overlong lines */
    {"1234567890\n", 10, "1234567890\r\n.\r\n"},
    {"12345678901\n", 10, "1234567890\r\n 1\r\n.\r\n"},
    {"1234567890123456789\n", 10, "1234567890\r\n 123456789\r\n.\r\n"},
    {"12345678901234567890\n", 10, "1234567890\r\n 123456789\r\n 0\r\n.\r\n"},
    {".234567890\n", 10, "..234567890\r\n.\r\n"},
    {"123.5\n", 3, "123\r\n .5\r\n.\r\n"},
    {"1234567890", 10, "1234567890\r\n.\r\n"},
    {"12345678901", 0, "12345678901\r\n.\r\n"},
    {"123", 1, "12\r\n 3\r\n.\r\n"},
};

/* Every way to cut the content into up to three pieces gives the same octets. */
static void test_content(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(contents); i++) {
        size_t len = strlen(contents[i].in);
        for (size_t a = 0; a <= len; a++) {
            for (size_t b = a; b <= len; b++) {
                struct content_writer writer;
                struct str out = STR_EMPTY;
                content_writer_start(&writer, contents[i].limit);
                content_writer_add(&writer, slice_range(contents[i].in, a), &out);
                content_writer_add(&writer, slice_range(contents[i].in + a, b - a), &out);
                content_writer_add(&writer, slice_range(contents[i].in + b, len - b), &out);
                content_writer_finish(&writer, &out);
                assert_string_equal(str_text(&out), contents[i].out);
                str_free(&out);
            }
        }
    }
}

static void test_content_nul(void **state)
{
    (void)state;
    struct content_writer writer;
    struct str out = STR_EMPTY;
    content_writer_start(&writer, 998);
    content_writer_add(&writer, SLICE("a\0b\n\0\n"), &out);
    content_writer_finish(&writer, &out);
    assert_int_equal(out.len, 11);
    assert_memory_equal(out.data, "a\0b\r\n\0\r\n.\r\n", 11);
    assert_false(writer.has_folded);
    str_free(&out);
}

/* --- next hops --------------------------------------------------------------------------------- */

static void test_next_hops(void **state)
{
    (void)state;
    static const struct {
        const char *text, *port, *endpoint; /* NULL: refused */
    } cases[] = {
        {"unix:private/dovecot-lmtp", "24", "unix:private/dovecot-lmtp"},
        {"unix:/run/dovecot/lmtp", "24", "unix:/run/dovecot/lmtp"},
        {"unix:", "24", NULL},
        {"inet:127.0.0.1:2424", "24", "inet:127.0.0.1:2424"},
        {"inet:mail.example", "24", "inet:mail.example:24"},
        {"inet:[::1]:2424", "24", "inet:[::1]:2424"},
        {"[127.0.0.1]:2424", "24", "inet:127.0.0.1:2424"},
        {"[mail.example]", "lmtp", "inet:mail.example:24"},
        {"[ipv6:::1]", "24", "inet:[::1]:24"},
        {"mail.example:lmtp", "24", "inet:mail.example:24"},
        {"mail.example", "24", "inet:mail.example:24"},
        {"mail.example:0", "24", NULL},
        {"mail.example:65536", "24", NULL},
        {"mail.example:teapot", "24", NULL},
        {"mail.example:", "24", NULL},
        {"[mail.example", "24", NULL},
        {"[mail.example]24", "24", NULL},
        {"", "24", NULL},
        {"[]", "24", NULL},
        {":24", "24", NULL},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct smtp_next_hop hop;
        const char *error;
        bool ok = smtp_next_hop_parse(cases[i].text, cases[i].port, arena, &hop, &error);
        assert_int_equal(ok, cases[i].endpoint != NULL);
        if (ok)
            assert_string_equal(hop.endpoint, cases[i].endpoint);
        else
            assert_non_null(error);
    }
    arena_free(arena);
}

/* --- addresses and commands ------------------------------------------------------------------------ */

static void test_quoting(void **state)
{
    (void)state;
    static const struct {
        const char *address, *quoted;
    } cases[] = {
        {"user@example.com", "user@example.com"},
        {"", ""},
        {"a b@example.com", "\"a b\"@example.com"},
        {"a\"b\\c@example.com", "\"a\\\"b\\\\c\"@example.com"},
        {".a@example.com", "\".a\"@example.com"},
        {"a.@example.com", "\"a.\"@example.com"},
        {"a..b@example.com", "\"a..b\"@example.com"},
        {"a@b@example.com", "\"a@b\"@example.com"},
        {"<x>@example.com", "\"<x>\"@example.com"},
        {"user", "user"},
        {"@example.com", "\"\"@example.com"},
        {"@relay:us er@example.com", "\"@relay:us er\"@example.com"},
        {"gr\xc3\xbc\xc3\x9f@example.com", "gr\xc3\xbc\xc3\x9f@example.com"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str out = STR_EMPTY;
        quote_append_address(&out, cases[i].address);
        assert_string_equal(str_text(&out), cases[i].quoted);
        str_free(&out);
    }
    assert_true(quote_is_safe("user@example.com"));
    assert_true(quote_is_safe("gr\xc3\xbc@example.com"));
    assert_false(quote_is_safe("a\r\nRCPT TO:<b>@example.com"));
    assert_false(quote_is_safe("a\x7f@example.com"));
}

static void test_commands(void **state)
{
    (void)state;
    struct smtp_client_settings settings = {.lmtp = true, .quote_envelope = true};
    struct smtp_client_session session = {.settings = &settings};
    struct delivery delivery = {.content_size = 1234};
    struct recipient to = {.address = TEXT("a b@x"), .original = TEXT("Alias@x"), .dsn_original = TEXT("")};
    struct str out = STR_EMPTY;
    delivery.envelope.sender = TEXT("");
    delivery.envelope.dsn_envelope_id = TEXT("id+1 \xff");
    delivery.envelope.dsn_return = DSN_RETURN_HEADERS;
    delivery.envelope.flags = ENVELOPE_8BITMIME;
    smtp_command_mail(&out, &delivery, true, &session);
    str_append_char(&out, '|');
    smtp_command_rcpt(&out, &to, &session);
    assert_string_equal(str_text(&out), "MAIL FROM:<>|RCPT TO:<\"a b\"@x>");
    str_clear(&out);
    session.can.flags = ~0u;
    smtp_command_mail(&out, &delivery, true, &session);
    assert_string_equal(str_text(&out),
                        "MAIL FROM:<> SIZE=1234 BODY=8BITMIME ENVID=id+2B1+20+FF RET=HDRS SMTPUTF8");
    str_clear(&out);
    smtp_command_rcpt(&out, &to, &session);
    assert_string_equal(str_text(&out), "RCPT TO:<\"a b\"@x> ORCPT=rfc822;Alias@x");
    str_clear(&out);
    to.dsn_original = TEXT("rfc822;o=r@x");
    to.notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
    smtp_command_rcpt(&out, &to, &session);
    assert_string_equal(str_text(&out), "RCPT TO:<\"a b\"@x> ORCPT=rfc822;o+3Dr@x NOTIFY=SUCCESS,DELAY");
    str_free(&out);
}

static void test_needs_utf8(void **state)
{
    (void)state;
    static const struct {
        unsigned flags;
        const char *sender, *rcpt, *head;
        bool needs;
    } cases[] = {
        {0, "\xc3\xbc@x", "a@x", "S: \xc3\xbc\n\n", false},
        {ENVELOPE_SMTPUTF8, "a@x", "a@x", "S: a\n\n\xc3\xbc", false},
        {ENVELOPE_SMTPUTF8, "a@x", "a@x", "S: \xc3\xbc\n\n", true},
        {ENVELOPE_SMTPUTF8, "\xc3\xbc@x", "a@x", "S: a\n\n", true},
        {ENVELOPE_SMTPUTF8, "a@x", "\xc3\xbc@x", "S: a\n\n", true},
        {ENVELOPE_SMTPUTF8, "a@x", "a@x", "", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery_recipient to = {.to.address = (char *)cases[i].rcpt};
        struct delivery delivery = {.recipients = &to, .recipient_count = 1};
        delivery.envelope.sender = (char *)cases[i].sender;
        delivery.envelope.flags = cases[i].flags;
        assert_int_equal(smtp_delivery_needs_utf8(&delivery, slice_of(cases[i].head)), cases[i].needs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),      cmocka_unit_test(test_reply_bounds),
        cmocka_unit_test(test_capabilities), cmocka_unit_test(test_discarded_words),
        cmocka_unit_test(test_content),      cmocka_unit_test(test_content_nul),
        cmocka_unit_test(test_next_hops),    cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_commands),     cmocka_unit_test(test_needs_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
