/* SPDX-License-Identifier: ISC */
/* What a name server says, honest or not, as a table; and the records that carry it on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "resolver/resolver.h"

#define HEADER(answers) "\x12\x34\x81\x80\0\1\0" answers "\0\0\0\0"
#define QUESTION "\1a\4test\0\0\1\0\1" /* the name is at offset 12, "test" at 14; types in questions are not looked at */
#define SELF "\xc0\x0c"
#define FIXED(type) "\0" type "\0\1\0\0\1\x2c" /* class IN, 300 seconds */
#define ADDRESS(last) SELF FIXED("\1") "\0\4\xc0\0\2" last

static const struct {
    const char *what;
    const char *data;
    size_t len;
    enum dns_type type;
    const char *answer; /* records with a blank between them; NULL: malformed */
    enum dns_status status;
    const char *alias;
} cases[] = {
#define CASE(what, data, type, answer, ...) {what, data, sizeof(data) - 1, type, answer, __VA_ARGS__}
    CASE("two addresses", HEADER("\2") QUESTION ADDRESS("\1") ADDRESS("\2"), DNS_A, "192.0.2.1 192.0.2.2", DNS_FOUND, NULL),
    CASE("nothing", HEADER("\0") QUESTION, DNS_A, "", DNS_NO_DATA, NULL),
    CASE("another type", HEADER("\1") QUESTION ADDRESS("\1"), DNS_MX, "", DNS_NO_DATA, NULL),
    CASE("MX", HEADER("\1") QUESTION SELF FIXED("\x0f") "\0\6\0\x0a\1m\xc0\x0e", DNS_MX, "10:m.test", DNS_FOUND, NULL),
    CASE("null MX", HEADER("\1") QUESTION SELF FIXED("\x0f") "\0\3\0\0\0", DNS_MX, "", DNS_NULL_MX, NULL),
    CASE("null MX among others", HEADER("\2") QUESTION SELF FIXED("\x0f") "\0\6\0\x0a\1m\xc0\x0e" SELF FIXED("\x0f") "\0\3\0\0\0",
         DNS_MX, "", DNS_NULL_MX, NULL),
    CASE("MX that is no name", HEADER("\1") QUESTION SELF FIXED("\x0f") "\0\7\0\x0a\2-m\xc0\x0e", DNS_MX, "", DNS_INVALID, NULL),
    CASE("MX cut short", HEADER("\1") QUESTION SELF FIXED("\x0f") "\0\2\0\x0a", DNS_MX, "", DNS_INVALID, NULL),
    CASE("MX with a byte too many", HEADER("\1") QUESTION SELF FIXED("\x0f") "\0\7\0\x0a\1m\xc0\x0e!", DNS_MX, "", DNS_INVALID, NULL),
    CASE("address of three bytes", HEADER("\1") QUESTION SELF FIXED("\1") "\0\3\1\2\3", DNS_A, "", DNS_INVALID, NULL),
    CASE("text", HEADER("\1") QUESTION SELF FIXED("\x10") "\0\7\2ab\3\0" "c\n", DNS_TXT, "ab\x01" "c\n", DNS_FOUND, NULL),
    CASE("text longer than its record", HEADER("\1") QUESTION SELF FIXED("\x10") "\0\3\xff" "ab", DNS_TXT, "ab", DNS_FOUND, NULL),
    CASE("empty text", HEADER("\1") QUESTION SELF FIXED("\x10") "\0\0", DNS_TXT, "", DNS_FOUND, NULL),
    CASE("IPv6", HEADER("\1") QUESTION SELF FIXED("\x1c") "\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", DNS_AAAA, "2001:db8::1", DNS_FOUND,
         NULL),
    CASE("name server", HEADER("\1") QUESTION SELF FIXED("\2") "\0\4\1n\xc0\x0e", DNS_NS, "n.test", DNS_FOUND, NULL),
    CASE("alias and its address", HEADER("\2") QUESTION SELF FIXED("\5") "\0\4\1b\xc0\x0e" "\1B\xc0\x0e" FIXED("\1") "\0\4\xc0\0\2\7",
         DNS_A, "192.0.2.7", DNS_FOUND, NULL),
    CASE("alias alone", HEADER("\1") QUESTION SELF FIXED("\5") "\0\4\1b\xc0\x0e", DNS_A, "", DNS_NO_DATA, "b.test"),
    CASE("alias of itself", HEADER("\1") QUESTION SELF FIXED("\5") "\0\2\xc0\x0c", DNS_A, NULL, DNS_TEMPORARY, NULL),
    CASE("about somebody else", HEADER("\1") QUESTION "\1b\xc0\x0e" FIXED("\1") "\0\4\1\2\3\4", DNS_A, NULL, DNS_TEMPORARY, NULL),
    CASE("about us and somebody else", HEADER("\2") QUESTION "\1b\xc0\x0e" FIXED("\1") "\0\4\1\2\3\4" ADDRESS("\3"), DNS_A, "192.0.2.3",
         DNS_FOUND, NULL),
    CASE("another class", HEADER("\1") QUESTION SELF "\0\1\0\3\0\0\0\1\0\4\1\2\3\4", DNS_A, "", DNS_NO_DATA, NULL),
    CASE("no header", "\x12\x34", DNS_A, NULL, DNS_TEMPORARY, NULL),
    CASE("more answers than there are", HEADER("\2") QUESTION ADDRESS("\1"), DNS_A, NULL, DNS_TEMPORARY, NULL),
    CASE("data beyond the end", HEADER("\1") QUESTION SELF FIXED("\1") "\0\xff\1\2", DNS_A, NULL, DNS_TEMPORARY, NULL),
    CASE("pointer to itself", HEADER("\1") QUESTION "\xc0\x18" FIXED("\1") "\0\4\1\2\3\4", DNS_A, NULL, DNS_TEMPORARY, NULL),
    CASE("pointer beyond the end", HEADER("\1") QUESTION "\xff\xff" FIXED("\1") "\0\4\1\2\3\4", DNS_A, NULL, DNS_TEMPORARY, NULL),
    CASE("question cut short", HEADER("\0") "\1a\4te", DNS_A, NULL, DNS_TEMPORARY, NULL),
};

static void test_messages(void **state UNUSED)
{
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_answer answer;
        struct str text = STR_EMPTY;
        char *alias = NULL;
        bool good = dns_message_read((const unsigned char *)cases[i].data, cases[i].len, "a.test", cases[i].type, arena, &answer,
                                     &alias);
        if (good != (cases[i].answer != NULL))
            fail_msg("%s: %s", cases[i].what, good ? "accepted" : "refused");
        if (!good)
            continue;
        for (size_t j = 0; j < answer.count; j++) {
            if (answer.records[j].preference > 0)
                str_printf(&text, "%u:", answer.records[j].preference);
            str_printf(&text, "%s%s", answer.records[j].data, j + 1 < answer.count ? " " : "");
        }
        if (strcmp(str_text(&text), cases[i].answer) != 0 || answer.status != cases[i].status)
            fail_msg("%s: status %u, \"%s\"", cases[i].what, answer.status, str_text(&text));
        if (cases[i].alias == NULL)
            assert_null(alias);
        else
            assert_string_equal(alias, cases[i].alias);
        str_free(&text);
    }
    arena_free(arena);
}

/* Every cut of an honest message is malformed or means the same. */
static void test_every_cut(void **state UNUSED)
{
    static const char whole[] = HEADER("\2") QUESTION ADDRESS("\1") ADDRESS("\2");
    struct arena *arena = arena_new();
    struct dns_answer answer;
    char *alias;
    for (size_t len = 0; len < sizeof whole - 1; len++)
        assert_false(dns_message_read((const unsigned char *)whole, len, "a.test", DNS_A, arena, &answer, &alias));
    arena_free(arena);
}

static void test_records_travel(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct dns_record records[] = {{10, (char *)"mx.test"}, {20, (char *)"mx2.test"}};
    struct dns_answer answer = {DNS_FOUND, 300, (char *)"real.test", records, 2}, answer_back;
    struct dns_peername peer = {PEERNAME_FORGED, PEERNAME_OK, (char *)"unknown", (char *)"a.test", (char *)"why"}, peer_back;
    struct str body = STR_EMPTY;
    dns_answer_encode(&answer, &body);
    for (size_t len = 0; len < body.len; len++)
        assert_false(dns_answer_decode(slice_range(body.data, len), arena, &answer_back));
    assert_true(dns_answer_decode(str_slice(&body), arena, &answer_back));
    assert_int_equal(answer_back.count, 2);
    assert_string_equal(answer_back.records[1].data, "mx2.test");
    body.data[0] = DNS_NO_NAME; /* "not found", with records */
    assert_false(dns_answer_decode(str_slice(&body), arena, &answer_back));
    str_clear(&body);
    dns_peername_encode(&peer, &body);
    for (size_t len = 0; len < body.len; len++)
        assert_false(dns_peername_decode(slice_range(body.data, len), arena, &peer_back));
    assert_true(dns_peername_decode(str_slice(&body), arena, &peer_back));
    assert_int_equal(peer_back.status, PEERNAME_FORGED);
    assert_string_equal(peer_back.reverse_name, "a.test");
    body.data[0] = 3; /* no such status */
    assert_false(dns_peername_decode(str_slice(&body), arena, &peer_back));
    str_free(&body);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_records_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
