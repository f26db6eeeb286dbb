/* SPDX-License-Identifier: ISC */
/* Addresses of MAIL and RCPT, host names, xtext: what is taken, as what, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/mail/address_parse.h"
#include "common/mail/quote.h"
#include "common/mail/dsn_parameter.h"
#include "common/mail/envelope.h"
#include "common/mail/hostname.h"

static const struct {
    const char *path;
    unsigned flags;
    const char *address; /* NULL: refused */
    const char *quoted;  /* NULL: as address */
} paths[] = {
    {"<a@b.example>", 0, "a@b.example", NULL},
    {"a@b.example", 0, "a@b.example", NULL},
    {"a@b.example>", 0, "a@b.example", NULL},
    {"<<a@b.example>>", 0, "a@b.example", NULL},
    {"< a @ b.example >", 0, "a@b.example", NULL},
    {"a@b.example", ADDRESS_STRICT, NULL, NULL},
    {"<a@b.example>", ADDRESS_STRICT, "a@b.example", NULL},
    {"<a@b.example", 0, NULL, NULL},
    {"<a@b.example>x", 0, NULL, NULL},
    {"<>", 0, NULL, NULL},
    {"<>", ADDRESS_ALLOW_EMPTY, "", ""},
    {"\"\"", ADDRESS_ALLOW_EMPTY, "", ""},
    {"<postmaster>", 0, "postmaster", NULL},
    {"<@a.example,@b.example:c@d.example>", 0, "c@d.example", NULL},
    {"<@a.example:c%e@d.example>", 0, "c%e@d.example", NULL},
    {"<@a.example>", 0, "@a.example", "\"\"@a.example"},
    {"<\"a b\"@c.example>", 0, "a b@c.example", "\"a b\"@c.example"},
    {"<\"a\\\"b\"@c.example>", 0, "a\"b@c.example", "\"a\\\"b\"@c.example"},
    {"<\"a@b\"@c.example>", 0, "a@b@c.example", "\"a@b\"@c.example"},
    {"<a@b@c.example>", 0, "a@b@c.example", "\"a@b\"@c.example"},
    {"<\"anna\"@c.example>", 0, "anna@c.example", NULL},
    {"<an\\na@c.example>", 0, "anna@c.example", NULL},
    {"<a..b@c.example>", 0, "a..b@c.example", "\"a..b\"@c.example"},
    {"<.a@c.example>", 0, ".a@c.example", "\".a\"@c.example"},
    {"<(x)a(y)@(z)c.example>", 0, "a@c.example", NULL},
    {"<a(unclosed@c.example>", 0, "a", NULL},
    {"<a(x)@c.example>", ADDRESS_STRICT, NULL, NULL},
    {"<a@c.example>(x)", 0, "a@c.example", NULL},
    {"<a@c.example>(x)", ADDRESS_STRICT, NULL, NULL},
    {"(x)<a@c.example>", 0, "a@c.example", NULL},
    {"Anna. A \"B\" <a@c.example> (x)", 0, "a@c.example", NULL},
    {"<a@c.example><b@c.example>", 0, NULL, NULL},
    {"<a@c.example>,<b@c.example>", 0, NULL, NULL},
    {"a@c.example,<b@c.example>", 0, NULL, NULL},
    {"x:<b@c.example>", 0, NULL, NULL},
    {"<a:b@c.example>", 0, "a:b@c.example", "\"a:b\"@c.example"},
    {"<a(x)b@c.example>", 0, NULL, NULL},
    {"<a b@c.example>", 0, NULL, NULL},
    {"<\"a\"b@c.example>", 0, NULL, NULL},
    {"<\"a@c.example>", 0, "a@c.example", NULL},
    {"<a,b@c.example>", 0, NULL, NULL},
    {"<a;b@c.example>", 0, NULL, NULL},
    {"<a<b@c.example>", 0, NULL, NULL},
    {"<a[b]@c.example>", 0, NULL, NULL},
    {"<a@[192.0.2.1]>", 0, "a@[192.0.2.1]", NULL},
    {"<a@[IPv6:2001:db8::1]>", 0, "a@[IPv6:2001:db8::1]", NULL},
    {"<a@[2001:db8::1]>", 0, NULL, NULL},
    {"<a@[192.0.2]>", 0, NULL, NULL},
    {"<a@[192.0.2.1>", 0, "a@[192.0.2.1]", NULL},
    {"<a@192.0.2.1>", 0, NULL, NULL},
    {"<a@c.example.>", 0, "a@c.example.", NULL},
    {"<a@c.example..>", 0, NULL, NULL},
    {"<a@c..example>", 0, NULL, NULL},
    {"<a@-c.example>", 0, NULL, NULL},
    {"<a@>", 0, NULL, NULL},
    {"<@>", 0, NULL, NULL},
    {"<-a@c.example>", 0, NULL, NULL},
    {"<-a@c.example>", ADDRESS_ALLOW_MINUS, "-a@c.example", NULL},
    {"<\"-a\"@c.example>", 0, NULL, NULL},
    {"<\"a\rb\"@c.example>", 0, NULL, NULL},
    {"<\"a\nb\"@c.example>", 0, NULL, NULL},
    {"<\xc3\xa9@c.example>", 0, "\xc3\xa9@c.example", NULL},
    {"<a@c\xc3\xa9.example>", 0, NULL, NULL},
    {"<a@c\xc3\xa9.example>", ADDRESS_UTF8, "a@c\xc3\xa9.example", NULL},
    {"<|cmd@c.example>", 0, "|cmd@c.example", NULL},
};

static void paths_become_addresses(void **state)
{
    (void)state;
    struct str address = STR_EMPTY, quoted = STR_EMPTY;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        bool parsed = address_parse_path(slice_of(paths[i].path), paths[i].flags, &address) == ADDRESS_PARSED;
        if (parsed != (paths[i].address != NULL))
            fail_msg("%s: %s", paths[i].path, parsed ? "taken" : "refused");
        if (!parsed)
            continue;
        assert_string_equal(str_text(&address), paths[i].address);
        str_clear(&quoted);
        quote_append_address(&quoted, str_text(&address));
        assert_string_equal(str_text(&quoted), paths[i].quoted != NULL ? paths[i].quoted : paths[i].address);
    }
    str_free(&address);
    str_free(&quoted);
}

static void a_nul_is_never_taken(void **state)
{
    (void)state;
    struct str address = STR_EMPTY;
    assert_int_equal(address_parse_path(SLICE("<a\0b@c.example>"), 0, &address), ADDRESS_MALFORMED);
    assert_int_equal(address_parse_path(SLICE("<\"a\\\0b\"@c.example>"), 0, &address), ADDRESS_MALFORMED);
    str_free(&address);
}

static void what_was_quoted_parses_to_the_same(void **state)
{
    (void)state;
    static const char *const locals[] = {"a", "a b", "a\"b", "a\\b", "a@b", ".", "", "a,b", "<>", "\x01", "(", "a.", "@route:a", "\xc3\xa9", "\xc3\xa9 "};
    struct str address = STR_EMPTY, quoted = STR_EMPTY, again = STR_EMPTY;
    for (size_t i = 0; i < sizeof locals / sizeof locals[0]; i++) {
        str_clear(&address);
        str_printf(&address, "%s@c.example", locals[i]);
        str_clear(&quoted);
        str_append_char(&quoted, '<');
        quote_append_address(&quoted, str_text(&address));
        str_append_char(&quoted, '>');
        assert_int_equal(address_parse_path(str_slice(&quoted), ADDRESS_ALLOW_EMPTY, &again), ADDRESS_PARSED);
        assert_string_equal(str_text(&again), str_text(&address));
    }
    str_free(&address);
    str_free(&quoted);
    str_free(&again);
}

static void host_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a.b", "a-b.example", "a_b.example", "1a.example", "1.2.3.example", "xn--a"};
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "1234", "1.2.3.4", "a b", "a:b", "[a]",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!hostname_is_valid(slice_of(good[i])))
            fail_msg("%s refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (hostname_is_valid(slice_of(bad[i])))
            fail_msg("%s taken", bad[i]);
    assert_true(hostname_is_literal(SLICE("[192.0.2.1]")) && hostname_is_literal(SLICE("[IPv6:::1]")));
    assert_false(hostname_is_literal(SLICE("[IPv6:192.0.2.1]")) || hostname_is_literal(SLICE("[]")) ||
                 hostname_is_literal(SLICE("[::1]")));
}

static const struct {
    struct slice text;
    const char *decoded; /* NULL: refused */
} xtexts[] = {
    {SLICE("abc"), "abc"}, {SLICE("a+2Bb"), "a+b"}, {SLICE("a+2bb"), "a+b"}, {SLICE("+"), NULL}, {SLICE("a+2"), NULL},
    {SLICE("a+xx"), NULL}, {SLICE("a+00b"), NULL}, {SLICE("a\0b"), NULL}, {SLICE(""), ""}, {SLICE("+2B+2B"), "++"}};

static void xtext_is_decoded_once(void **state)
{
    (void)state;
    struct str out = STR_EMPTY;
    for (size_t i = 0; i < sizeof xtexts / sizeof xtexts[0]; i++) {
        bool good = xtext_decode(xtexts[i].text, &out);
        assert_int_equal(good, xtexts[i].decoded != NULL);
        if (good)
            assert_string_equal(str_text(&out), xtexts[i].decoded);
    }
    assert_true(dsn_parse_original(SLICE("rfc822;a+40b"), &out));
    assert_string_equal(str_text(&out), "rfc822;a@b");
    assert_false(dsn_parse_original(SLICE("a+40b"), &out) || dsn_parse_original(SLICE(";a"), &out));
    assert_false(dsn_parse_original(SLICE("rfc822;a+0Ab"), &out));
    assert_false(dsn_parse_envelope_id(SLICE(""), &out) || dsn_parse_envelope_id(SLICE("a+0Ab"), &out));
    str_free(&out);
}

static void notify_words(void **state)
{
    (void)state;
    uint8_t notify;
    assert_true(dsn_parse_notify(SLICE("never"), &notify));
    assert_int_equal(notify, NOTIFY_NEVER);
    assert_true(dsn_parse_notify(SLICE("SUCCESS,DELAY"), &notify));
    assert_int_equal(notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
    assert_false(dsn_parse_notify(SLICE("NEVER,SUCCESS"), &notify));
    assert_false(dsn_parse_notify(SLICE(""), &notify) || dsn_parse_notify(SLICE("x"), &notify));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_become_addresses), cmocka_unit_test(a_nul_is_never_taken),
        cmocka_unit_test(what_was_quoted_parses_to_the_same), cmocka_unit_test(host_names),
        cmocka_unit_test(xtext_is_decoded_once), cmocka_unit_test(notify_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
