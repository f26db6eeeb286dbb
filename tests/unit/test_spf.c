/* SPDX-License-Identifier: ISC */
/* SPF beyond the RFC's suite: hostile records and macros (CVE-2021-20314, CVE-2021-33912, CVE-2023-42118 and their kin), the
 * limits, both identities together, the records on their way to smtpd and the headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/dns/spf_header.h"
#include "resolver/spf_record.h"
#include "tests/unit/spf_zone.h"

/* --- syntax ----------------------------------------------------------------------------------- */

static const struct { const char *text; const char *problem; } records[] = {
    {"v=spf1", NULL}, {"v=spf1  -all ", NULL}, {"V=SPF1 +A:%{d}/24//64 ?Mx:x.test/0 ~PTR EXISTS:%{ir}.x.test", NULL},
    {"v=spf1 redirect=%{d2r+-./,_=}.x.test. x.y-z_=%{t} -all", "malformed macro"},
    {"v=spf1 a:%{d", "malformed domain"}, {"v=spf1 a:%{", "malformed domain"}, {"v=spf1 a:%", "malformed domain"},
    {"v=spf1 a:x.test%", "malformed domain"}, {"v=spf1 a:%{d0}", "malformed domain"}, {"v=spf1 a:%{d00000000000000000000000000000}", "malformed domain"},
    {"v=spf1 a:%{d99999999999999999999999999999999}", NULL}, {"v=spf1 a:%{dr9}", "malformed domain"}, {"v=spf1 a:%{d*}", "malformed domain"},
    {"v=spf1 a:%{q}", "malformed domain"}, {"v=spf1 a:%{}", "malformed domain"}, {"v=spf1 a:%{{d}}", "malformed domain"},
    {"v=spf1 a:%{d}.%{c}", "malformed domain"}, {"v=spf1 a:%{d}com", "malformed domain"}, {"v=spf1 a:%{d}.com", NULL},
    {"v=spf1 a:%%.com", NULL}, {"v=spf1 a:x.%-", NULL}, {"v=spf1 a:x.test\x7f", "malformed domain"}, {"v=spf1 a:x.t\xc3\xa9st", "malformed domain"},
    {"v=spf1\ta", NULL /* no record of version 1: tested below */}, {"v=spf1 \ta", "unknown mechanism"},
    {"v=spf1 ip4:1.2.3.4/", "malformed network"}, {"v=spf1 ip4:1.2.3.4/1000000000000000000000", "malformed network"},
    {"v=spf1 ip4:1.2.3.4/-1", "malformed network"}, {"v=spf1 ip6:::/128", NULL}, {"v=spf1 ip6:::/0128", "malformed network"},
    {"v=spf1 ip6:1:2:3:4:5:6:7:8:9", "malformed network"}, {"v=spf1 ip6:1111111111111111111111111111111111111111111111111111::", "malformed network"},
    {"v=spf1 ip4:", "malformed network"}, {"v=spf1 ip4", "malformed network"}, {"v=spf1 a//", "malformed prefix length"},
    {"v=spf1 a/", "malformed prefix length"}, {"v=spf1 a/24/", "malformed prefix length"}, {"v=spf1 a///24", "malformed prefix length"},
    {"v=spf1 -", "unknown mechanism"}, {"v=spf1 --all", "unknown mechanism"}, {"v=spf1 :", "unknown mechanism"}, {"v=spf1 =", "unknown mechanism"},
    {"v=spf1 include", "a mechanism without its domain"}, {"v=spf1 redirect=", "malformed domain"}, {"v=spf1 x=", NULL},
    {"v=spf1 exp=a.test exp=b.test", "redirect= or exp= twice"},
};

static void test_records(void **state UNUSED)
{
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct arena *arena = arena_new();
        struct spf_record record;
        const char *problem = NULL;
        struct slice text = slice_of(records[i].text);
        if (!spf_record_is(text)) {
            assert_string_equal(records[i].text, "v=spf1\ta");
        } else {
            bool good = spf_record_parse(text, arena, &record, &problem);
            if (good != (records[i].problem == NULL) || (!good && strcmp(problem, records[i].problem) != 0))
                fail_msg("\"%s\": %s", records[i].text, good ? "accepted" : problem);
        }
        arena_free(arena);
    }
}

/* Every cut of a record full of macros is read within its bounds (the sanitizers watch). */
static void test_every_cut(void **state UNUSED)
{
    static const char whole[] = "v=spf1 a:%{s}.%{l}%{o}%%%_%-.x.test/24//64 exists:%{i2r.-+,/_=}.%{p}.%{V}.%{H} exp=%{d}.t redirect=%{L}.test";
    struct arena *arena = arena_new();
    for (size_t len = 6; len < sizeof whole; len++) {
        char *copy = mem_strndup(whole, len); /* of exactly that size */
        struct spf_record record;
        const char *problem;
        if (spf_record_parse(slice_range(copy, len), arena, &record, &problem))
            assert_true(record.count <= 2);
        free(copy);
    }
    arena_free(arena);
}

/* --- macros ------------------------------------------------------------------------------------- */

static const struct spf_macro_values values = {
    .sender = "strong-bad@email.example.com", .local_part = "strong-bad", .sender_domain = "email.example.com",
    .domain = "email.example.com", .address = "192.0.2.3", .client_domain = "mx.example.org", .helo = "h\xc3\xa9lo (x)", .receiver = "r.test",
    .now = 1234567890,
};

static void test_macros(void **state UNUSED)
{
    static const struct { const char *text, *expected; } macros[] = {
        /* RFC 7208 7.4 */
        {"%{s}", "strong-bad@email.example.com"}, {"%{o}", "email.example.com"}, {"%{d}", "email.example.com"},
        {"%{d4}", "email.example.com"}, {"%{d3}", "email.example.com"}, {"%{d2}", "example.com"}, {"%{d1}", "com"}, {"%{dr}", "com.example.email"},
        {"%{d2r}", "example.email"}, {"%{l}", "strong-bad"}, {"%{l-}", "strong.bad"}, {"%{lr}", "strong-bad"}, {"%{lr-}", "bad.strong"},
        {"%{l1r-}", "strong"}, {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
        {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
        /* and beyond */
        {"%{H}", "h%C3%A9lo%20%28x%29"}, {"%{t}", "1234567890"}, {"%{R}", "r.test"}, {"%%%_%-", "% %20"}, {"%{d99999}", "email.example.com"},
        {"%{d.@}", NULL}, {"a%{c}b", "a192.0.2.3b"}, {"", ""},
    };
    for (size_t i = 0; i < sizeof macros / sizeof macros[0]; i++) {
        struct str out = STR_EMPTY;
        struct slice text = slice_of(macros[i].text);
        if (spf_macro_is_valid(text, true) != (macros[i].expected != NULL))
            fail_msg("%s", macros[i].text);
        if (macros[i].expected != NULL) {
            assert_true(spf_macro_expand(text, &values, &out));
            assert_string_equal(str_text(&out), macros[i].expected);
        }
        str_free(&out);
    }
}

/* 500 times a long value, escaped: more than anybody can mean. */
static void test_expansion_is_bounded(void **state UNUSED)
{
    struct str text = STR_EMPTY, out = STR_EMPTY;
    struct arena *arena = arena_new();
    for (unsigned i = 0; i < 500; i++)
        str_append(&text, "%{S}.");
    str_append(&text, "test");
    assert_false(spf_macro_expand(str_slice(&text), &values, &out));
    assert_true(out.len < SPF_MAX_EXPANSION + 200);
    assert_null(spf_macro_domain(str_slice(&text), &values, arena));
    str_free(&text);
    str_free(&out);
    for (unsigned i = 0; i < 300; i++)
        str_append(&text, "%{d}.");
    str_truncate(&text, text.len - 1);
    const char *name = spf_macro_domain(str_slice(&text), &values, arena);
    assert_non_null(name); /* cut on the left, at a label */
    assert_int_equal(strlen(name), 14 * 18 - 1);
    str_free(&text);
    arena_free(arena);
}

/* --- checks --------------------------------------------------------------------------------------- */

static struct spf_verdict check(const char *address, const char *helo, const char *sender, struct arena *arena)
{
    struct spf_question question = {address, helo, sender, "mx.test", SPF_MAIL_FROM};
    struct spf_verdict verdict;
    spf_check_host(&question, sender, arena, &verdict);
    return verdict;
}

static void expect(const char *sender, uint8_t result, const char *problem)
{
    struct arena *arena = arena_new();
    struct spf_verdict verdict = check("192.0.2.1", "client.test", sender, arena);
    if (verdict.result != result || strcmp(verdict.problem, problem) != 0)
        fail_msg("%s: %s (%s)", sender, spf_result_name(verdict.result), verdict.problem);
    arena_free(arena);
}

static void add_chain(unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        char *name = mem_printf("c%u.chain.test", i), *text = mem_printf("v=spf1 include:c%u.chain.test -all", i + 1);
        zone_add(name, "TXT", text);
        free(name);
        free(text);
    }
}

static void test_limits(void **state UNUSED)
{
    zone_clear();
    zone_add("self.test", "TXT", "v=spf1 include:self.test -all");
    zone_add("fan.test", "TXT", "v=spf1 include:fan1.test include:fan1.test include:fan1.test -all");
    zone_add("fan1.test", "TXT", "v=spf1 include:fan2.test include:fan2.test include:fan2.test -all");
    zone_add("fan2.test", "TXT", "v=spf1 include:fan3.test include:fan3.test include:fan3.test -all");
    zone_add("fan3.test", "TXT", "v=spf1 -all");
    add_chain(300);
    expect("x@self.test", SPF_PERMERROR, "more than 10 terms that ask DNS");
    unsigned before = zone_questions();
    expect("x@fan.test", SPF_PERMERROR, "more than 10 terms that ask DNS"); /* counted across includes */
    assert_true(zone_questions() - before <= 12);
    expect("x@c0.chain.test", SPF_PERMERROR, "more than 10 terms that ask DNS");
    expect("x@c290.chain.test", SPF_PERMERROR, "include: of a domain without a record");
    zone_add("zero.test", "TXT", "v=spf1 mx//0 a/0 -all");
    zone_add("zero.test", "MX", "10 mx.zero.test");
    zone_add("mx.zero.test", "AAAA", "2001:db8::9");
    zone_add("zero.test", "A", "198.51.100.1");
    expect("x@zero.test", SPF_PASS, "");
    zone_add("names.test", "TXT", "v=spf1 mx -all");
    for (unsigned i = 0; i < 300; i++)
        zone_add("names.test", "MX", "10 t0");
    expect("x@names.test", SPF_PERMERROR, "more than 10 MX names");
    zone_add("tokens.test", "TXT", "v=spf1 a:t0 include:t1.t2.test -all"); /* looks like what libspf2 gets from us */
    expect("x@tokens.test", SPF_PERMERROR, "malformed domain");
    zone_add("mxtoken.test", "TXT", "v=spf1 mx +all");
    zone_add("mxtoken.test", "MX", "10 t0");
    expect("x@mxtoken.test", SPF_PASS, "");
    zone_clear();
}

/* Senders and HELO names that a stranger chose with care. */
static void test_hostile_identities(void **state UNUSED)
{
    static const char *const senders[] = {
        "%{d}@x.test", "\"a b\"@x.test", "\xff\xfe\x80@x.test", "a@b@x.test", "@x.test", "x.test", "\n@x.test", ".@x.test", "...@x.test", "-@x.test"};
    struct arena *arena = arena_new();
    zone_clear();
    zone_add("x.test", "TXT", "v=spf1 exists:%{lr-}.%{L}.%{s}.%{S1r}.%{h}.%{H}.%{o}.l.test -exists:%{p}.%{i}.l.test -all exp=e.test");
    zone_add("e.test", "TXT", "%{s} %{S} %{l} %{h} %{H} %{c} %{r} %{t} %{p}");
    for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++)
        for (size_t j = 0; j < sizeof senders / sizeof senders[0]; j++) {
            struct spf_verdict verdict = check(i % 2 == 0 ? "192.0.2.1" : "2001:db8::1", senders[j], senders[i], arena);
            assert_int_equal(verdict.result, SPF_FAIL);
            assert_true(strlen(verdict.explanation) <= SPF_MAX_EXPLANATION);
            for (const char *at = verdict.explanation; *at != '\0'; at++)
                assert_true(*at >= ' ' && *at <= '~');
        }
    char *long_local = mem_alloc(600);
    memset(long_local, '-', 500);
    memcpy(long_local + 500, "@x.test", 8);
    assert_int_equal(check("192.0.2.1", long_local, long_local, arena).result, SPF_FAIL);
    free(long_local);
    assert_int_equal(check("not an address", "h", "a@x.test", arena).result, SPF_NONE);
    zone_clear();
    arena_free(arena);
}

/* HELO's fail is final; a null sender has HELO's result. */
static void test_identities(void **state UNUSED)
{
    static const struct { const char *helo, *sender; uint8_t identities, helo_result, mail_result; } cases[] = {
        {"yes.test", "a@no.test", SPF_HELO | SPF_MAIL_FROM, SPF_PASS, SPF_FAIL},
        {"no.test", "a@yes.test", SPF_HELO | SPF_MAIL_FROM, SPF_FAIL, SPF_UNCHECKED},
        {"no.test", "a@yes.test", SPF_MAIL_FROM, SPF_UNCHECKED, SPF_PASS},
        {"yes.test", "a@no.test", SPF_HELO, SPF_PASS, SPF_UNCHECKED},
        {"yes.test", "", SPF_MAIL_FROM, SPF_PASS, SPF_PASS},
        {"no.test", "", SPF_HELO | SPF_MAIL_FROM, SPF_FAIL, SPF_UNCHECKED},
        {"", "a@nowhere.test", SPF_HELO | SPF_MAIL_FROM, SPF_NONE, SPF_NONE},
        {"[192.0.2.1]", "", SPF_HELO | SPF_MAIL_FROM, SPF_NONE, SPF_NONE},
    };
    zone_clear();
    zone_add("yes.test", "TXT", "v=spf1 +all");
    zone_add("no.test", "TXT", "v=spf1 -all");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new();
        struct spf_question question = {"192.0.2.1", cases[i].helo, cases[i].sender, "mx.test", cases[i].identities}, asked;
        struct spf_answer answer, back;
        struct str body = STR_EMPTY;
        spf_question_encode(&question, &body);
        for (size_t len = 0; len < body.len; len++)
            assert_false(spf_question_decode(slice_range(body.data, len), arena, &asked));
        assert_true(spf_question_decode(str_slice(&body), arena, &asked));
        spf_check(&asked, arena, &answer);
        str_clear(&body);
        spf_answer_encode(&answer, &body);
        for (size_t len = 0; len < body.len; len++)
            assert_false(spf_answer_decode(slice_range(body.data, len), arena, &back));
        assert_true(spf_answer_decode(str_slice(&body), arena, &back));
        assert_int_equal(back.helo.result, cases[i].helo_result);
        assert_int_equal(back.mail_from.result, cases[i].mail_result);
        str_free(&body);
        arena_free(arena);
    }
    zone_clear();
}

/* What a client may choose cannot end a header or begin another. */
static void test_headers_hold(void **state UNUSED)
{
    struct spf_verdict pass = {SPF_PASS, (char *)"evil)\n.test", (char *)"", (char *)""};
    struct spf_verdict error = {SPF_PERMERROR, (char *)"x.test", (char *)"a \"quoted\" problem", (char *)""};
    struct spf_question question = {"192.0.2.1", "a\"\\\r\nb;c", "x\n\"y\"@evil\n.test", "mx.test", SPF_HELO | SPF_MAIL_FROM};
    struct spf_answer answer = {.helo = pass, .mail_from = error};
    struct str out = STR_EMPTY;
    spf_header_append(&question, &answer, "id.test", &out);
    assert_string_equal(str_text(&out),
        "Received-SPF: permerror (x.test has a faulty policy about 192.0.2.1)\n\treceiver=mx.test;\n\tidentity=mailfrom;\n"
        "\tclient-ip=192.0.2.1;\n\thelo=\"a\\\"\\\\??b;c\";\n\tenvelope-from=\"x?\\\"y\\\"@evil?.test\";\n\tproblem=\"a \\\"quoted\\\" problem\"\n"
        "Authentication-Results: id.test;\n\tspf=permerror reason=\"a \\\"quoted\\\" problem\" smtp.mailfrom=\"x?\\\"y\\\"@evil?.test\";\n"
        "\tspf=pass smtp.helo=\"a\\\"\\\\??b;c\"\n");
    str_clear(&out);
    answer.mail_from.result = SPF_UNCHECKED;
    spf_header_append(&question, &answer, "id.test", &out);
    assert_non_null(strstr(str_text(&out), "Received-SPF: pass (evil??.test permits 192.0.2.1)\n"));
    str_clear(&out);
    answer.helo.result = SPF_UNCHECKED;
    spf_header_append(&question, &answer, "id.test", &out);
    assert_int_equal(out.len, 0);
    str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records), cmocka_unit_test(test_every_cut), cmocka_unit_test(test_macros),
        cmocka_unit_test(test_expansion_is_bounded), cmocka_unit_test(test_limits), cmocka_unit_test(test_hostile_identities),
        cmocka_unit_test(test_identities), cmocka_unit_test(test_headers_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
