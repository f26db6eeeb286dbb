/* SPDX-License-Identifier: ISC */
/* SASL without a service: base64, security options, whose login it is, records, Dovecot's lines, Cyrus' configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/cyrus.h"
#include "auth/dovecot_line.h"
#include "common/sasl/sasl_mechanism.h"
#include "common/sasl/sasl_protocol.h"

/* Records hold texts that are theirs. */
#define T(text) ((char *)(text))

static void test_base64(void **state UNUSED)
{
    static const struct { const char *text, *bytes; } good[] = {
        {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"}, {"+/+/", "\xfb\xff\xbf"},
    };
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg===", "=", "==", "===", "====", "Zm=v", "Z=9v", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm9-", "Zm9_",
        "Zm9v=", "!!!!", "Zm9\xff",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct str bytes = STR_EMPTY, text = STR_EMPTY;
        assert_true(base64_decode(slice_of(good[i].text), &bytes));
        assert_string_equal(str_text(&bytes), good[i].bytes);
        base64_encode(str_slice(&bytes), &text);
        assert_string_equal(str_text(&text), good[i].text);
        str_free(&bytes);
        str_free(&text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct str bytes = STR_EMPTY;
        if (base64_decode(slice_of(bad[i]), &bytes))
            fail_msg("\"%s\" was decoded", bad[i]);
        str_free(&bytes);
    }
}

static void test_properties(void **state UNUSED)
{
    static const struct { const char *options; uint32_t mask; bool good; } cases[] = {
        {"", 0, true}, {"noanonymous", SASL_NO_ANONYMOUS, true},
        {"noanonymous, noplaintext", SASL_NO_ANONYMOUS | SASL_NO_PLAINTEXT, true},
        {"NOACTIVE,nodictionary\tforward_secrecy mutual_auth",
         SASL_NO_ACTIVE | SASL_NO_DICTIONARY | SASL_WANT_FORWARD_SECRECY | SASL_WANT_MUTUAL_AUTH, true},
        {"noanonymus", 0, false}, {"noanonymous;", 0, false},
    };
    static const struct { uint32_t mask, traits; bool allowed; } decisions[] = {
        {0, SASL_TRAIT_PLAINTEXT | SASL_TRAIT_ANONYMOUS, true},
        {SASL_NO_ANONYMOUS, SASL_TRAIT_ANONYMOUS, false},  {SASL_NO_ANONYMOUS, SASL_TRAIT_PLAINTEXT, true},
        {SASL_NO_PLAINTEXT, SASL_TRAIT_PLAINTEXT, false},  {SASL_NO_DICTIONARY, SASL_TRAIT_DICTIONARY | SASL_TRAIT_ACTIVE, false},
        {SASL_NO_ACTIVE, SASL_TRAIT_DICTIONARY, true},     {SASL_WANT_MUTUAL_AUTH, 0, false},
        {SASL_WANT_MUTUAL_AUTH, SASL_TRAIT_MUTUAL_AUTH, true}, {SASL_WANT_FORWARD_SECRECY, SASL_TRAIT_MUTUAL_AUTH, false},
        {0, SASL_TRAIT_PRIVATE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t mask;
        struct slice bad;
        assert_int_equal(sasl_properties_parse(cases[i].options, &mask, &bad), cases[i].good);
        if (cases[i].good)
            assert_int_equal(mask, cases[i].mask);
    }
    for (size_t i = 0; i < sizeof decisions / sizeof decisions[0]; i++)
        assert_int_equal(sasl_properties_allow(decisions[i].mask, decisions[i].traits), decisions[i].allowed);
}

static void test_login_names(void **state UNUSED)
{
    static const struct { const char *mechanism; unsigned step; struct slice response; const char *login; } cases[] = {
        {"PLAIN", 0, {"\0anna\0secret", 12}, "anna"},      {"plain", 0, {"ben\0anna\0secret", 15}, "anna"},
        {"PLAIN", 0, {"\0anna", 5}, ""},                   {"PLAIN", 0, {"anna", 4}, ""},
        {"PLAIN", 0, {"secret\0", 7}, ""},                 {"PLAIN", 1, {"\0anna\0secret", 12}, ""},
        {"PLAIN", 0, {"", 0}, ""},                         {"PLAIN", 0, {"\0\0secret", 8}, ""},
        {"LOGIN", 0, {"anna", 4}, "anna"},                 {"LOGIN", 1, {"secret", 6}, ""},
        {"CRAM-MD5", 0, {"anna b 0123", 11}, "anna b"},    {"CRAM-MD5", 0, {"0123", 4}, ""},
        {"DIGEST-MD5", 0, {"charset=utf-8,username=\"anna\",realm=\"x\"", 39}, "anna"},
        {"DIGEST-MD5", 0, {"username=\"anna", 14}, ""},    {"DIGEST-MD5", 0, {"", 0}, ""},
        {"SCRAM-SHA-256", 0, {"n,,n=an=2Cna=3D,r=abc", 21}, "an,na="},
        {"SCRAM-SHA-1-PLUS", 0, {"p=tls-exporter,,n=anna,r=abc", 28}, "anna"},
        {"SCRAM-SHA-1", 1, {"c=biws,r=x,n=no,p=y", 19}, ""}, {"SCRAM-SHA-1", 0, {"n,,n=a=2", 8}, "a=2"},
        {"XOAUTH2", 0, {"user=anna@x.example\1auth=Bearer t\1\1", 35}, "anna@x.example"},
        {"XOAUTH2", 0, {"auth=Bearer user=token\1", 23}, ""},
        {"OAUTHBEARER", 0, {"n,a=anna@x.example,\1auth=Bearer t\1\1", 35}, "anna@x.example"},
        {"OAUTHBEARER", 0, {"n,,\1auth=Bearer a=token\1", 24}, ""},
        {"GSSAPI", 0, {"anna", 4}, ""},                    {"EXTERNAL", 0, {"anna", 4}, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str login = STR_EMPTY;
        sasl_login_name(slice_of(cases[i].mechanism), cases[i].step, cases[i].response, &login);
        if (strcmp(str_text(&login), cases[i].login) != 0)
            fail_msg("%zu, %s: \"%s\" instead of \"%s\"", i, cases[i].mechanism, str_text(&login), cases[i].login);
        str_free(&login);
    }
}

static void test_records(void **state UNUSED)
{
    struct sasl_client client = {
        .type = SASL_DOVECOT, .path = T("private/auth"), .config_path = T(""), .service = T("smtp"), .realm = T("r"), .host_name = T("h"),
        .properties = 5, .client_address = T("192.0.2.1"), .client_port = T("1"), .server_address = T("::1"), .server_port = T("587"),
        .is_encrypted = true, .cipher_bits = 256, .certificate_name = T("cn"), .binding_type = T("tls-exporter"),
        .binding = {"\0\1\2", 3}};
    struct sasl_answer answer = {SASL_MORE, 7, T("dGV4dA=="), T("anna")};
    struct str body = STR_EMPTY;
    struct arena *arena = arena_new();
    struct sasl_client copy;
    struct sasl_answer again;
    sasl_client_encode(&client, &body);
    for (size_t len = 0; len <= body.len; len++) {
        struct ipc_reader reader = ipc_reader_of(slice_range(body.data, len));
        sasl_client_get(&reader, arena, &copy);
        assert_int_equal(ipc_reader_finish(&reader), len == body.len);
    }
    assert_string_equal(copy.path, "private/auth");
    assert_string_equal(copy.certificate_name, "cn");
    assert_true(slice_equal(copy.binding, client.binding));
    body.data[0] = 2; /* no such type */
    struct ipc_reader reader = ipc_reader_of(str_slice(&body));
    sasl_client_get(&reader, arena, &copy);
    assert_false(ipc_reader_finish(&reader));
    str_clear(&body);
    sasl_answer_encode(&answer, &body);
    for (size_t len = 0; len < body.len; len++)
        assert_false(sasl_answer_decode(slice_range(body.data, len), arena, &again));
    assert_true(sasl_answer_decode(str_slice(&body), arena, &again));
    assert_int_equal(again.exchange, 7);
    assert_string_equal(again.login, "anna");
    body.data[0] = 4;
    assert_false(sasl_answer_decode(str_slice(&body), arena, &again));
    str_free(&body);
    arena_free(arena);
}

static void test_dovecot_lines(void **state UNUSED)
{
    static const struct {
        struct slice line;
        bool good;
        enum dovecot_word word;
        uint32_t id;
        const char *text; /* mechanism, user, reason or challenge */
    } cases[] = {
        {{"VERSION\t1\t2", 11}, true, DOVECOT_VERSION, 1, ""},   {{"VERSION\t1", 9}, false, 0, 0, ""},
        {{"VERSION\t1\tx", 11}, false, 0, 0, ""},                {{"VERSION", 7}, false, 0, 0, ""},
        {{"MECH\tPLAIN\tplaintext\tnew", 24}, true, DOVECOT_MECH, 0, "PLAIN"},
        {{"MECH\tSCRAM-SHA-256", 18}, true, DOVECOT_MECH, 0, "SCRAM-SHA-256"},
        {{"MECH", 4}, false, 0, 0, ""},                          {{"MECH\t", 5}, false, 0, 0, ""},
        {{"MECH\tA B", 8}, false, 0, 0, ""},                     {{"DONE", 4}, true, DOVECOT_DONE, 0, ""},
        {{"SPID\t12", 7}, true, DOVECOT_SPID, 0, ""},            {{"COOKIE\tx", 8}, true, DOVECOT_OTHER, 0, ""},
        {{"OK\t1\tuser=anna\tx=y", 18}, true, DOVECOT_OK, 1, "anna"}, {{"OK\t4294967295", 13}, true, DOVECOT_OK, 4294967295u, ""},
        {{"OK\t4294967296", 13}, false, 0, 0, ""},               {{"OK\t-1", 5}, false, 0, 0, ""},
        {{"OK\t", 3}, false, 0, 0, ""},                          {{"OK", 2}, false, 0, 0, ""},
        {{"OK\t1\tuser=a\001tb\0011", 16}, true, DOVECOT_OK, 1, "a\tb\001"},
        {{"OK\t1\tuser=a\0010b", 14}, true, DOVECOT_OK, 1, ""},  {{"OK\t1\tuserx=anna", 15}, true, DOVECOT_OK, 1, ""},
        {{"FAIL\t2\treason=no way\ttemp", 25}, true, DOVECOT_FAIL, 2, "no way"},
        {{"FAIL\t2\tcode=temp_fail", 21}, true, DOVECOT_FAIL, 2, ""}, {{"FAIL\t2", 6}, true, DOVECOT_FAIL, 2, ""},
        {{"CONT\t3\tYWJj", 11}, true, DOVECOT_CONT, 3, "YWJj"},  {{"CONT\t3\t", 7}, true, DOVECOT_CONT, 3, ""},
        {{"CONT\t3", 6}, true, DOVECOT_CONT, 3, ""},             {{"CONT\t3\tYWJ", 10}, false, 0, 0, ""},
        {{"CONT\t3\tYW\rj", 11}, false, 0, 0, ""},               {{"", 0}, false, 0, 0, ""},
        {{"OK\t1\tuser=a\0", 13}, false, 0, 0, ""},              {{"\tOK\t1", 5}, true, DOVECOT_OTHER, 0, ""},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dovecot_line line;
        bool good = dovecot_line_parse(cases[i].line, arena, &line);
        if (good != cases[i].good)
            fail_msg("\"%.*s\" was %s", SLICE_ARGS(cases[i].line), good ? "accepted" : "refused");
        if (!good)
            continue;
        const char *text = line.word == DOVECOT_MECH ? line.mechanism : line.word == DOVECOT_OK ? line.user :
                           line.word == DOVECOT_FAIL ? line.reason : line.challenge;
        assert_int_equal(line.word, cases[i].word);
        if (line.word != DOVECOT_OTHER)
            assert_int_equal(line.id, cases[i].id);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(line.is_temporary, line.word == DOVECOT_FAIL && memmem(cases[i].line.data, cases[i].line.len, "temp", 4) != NULL);
    }
    arena_free(arena);
}

static void test_dovecot_escapes(void **state UNUSED)
{
    struct str out = STR_EMPTY;
    dovecot_escape(slice_range("a\tb\nc\rd\0e\001f=", 12), &out);
    assert_true(slice_equal(str_slice(&out), slice_range("a\001tb\001nc\001rd\0010e\0011f=", 17)));
    str_free(&out);
}

static void test_cyrus_configuration(void **state UNUSED)
{
    static const char file[] = "# sasldb_path: /no\npwcheck_method: saslauthd\r\n  SASLDB_PATH :  /var/db/sasldb2 \nempty:\nno colon\n"
                               "sql_select: SELECT a FROM b WHERE c = 'x:y'\nlast: 1";
    static const struct { const char *name, *value; } cases[] = {
        {"pwcheck_method", "saslauthd"}, {"sasldb_path", "/var/db/sasldb2"}, {"empty", ""}, {"last", "1"},
        {"sql_select", "SELECT a FROM b WHERE c = 'x:y'"}, {"no colon", NULL}, {"absent", NULL}, {"pwcheck", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice value = cyrus_config_find(slice_range(file, sizeof file - 1), cases[i].name);
        if (cases[i].value == NULL)
            assert_int_equal(value.len, 0);
        else if (!slice_equal(value, slice_of(cases[i].value)))
            fail_msg("%s: \"%.*s\"", cases[i].name, SLICE_ARGS(value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),        cmocka_unit_test(test_properties),      cmocka_unit_test(test_login_names),
        cmocka_unit_test(test_records),       cmocka_unit_test(test_dovecot_lines),   cmocka_unit_test(test_dovecot_escapes),
        cmocka_unit_test(test_cyrus_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
