/* SPDX-License-Identifier: ISC */
/* The address resolver: rewriting, classes, transports, existence, expansion, and the search orders of the tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/resolve.h"
#include "tests/unit/resolve_cases.h"

#define COUNT(table) (sizeof table / sizeof table[0])

static const char *const settings[][2] = {
    {"compatibility_level", "3.6"},
    {"inet_interfaces", "127.0.0.1"},
    {"myhostname", "mail.example.com"},
    {"mydomain", "example.com"},
    {"myorigin", "$mydomain"},
    {"mydestination", "$myhostname, localhost.$mydomain, localhost, example.com"},
    {"virtual_alias_domains", "valias.example"},
    {"virtual_alias_maps",
     "inline:{ {a@valias.example=b@vbox.example, c@other.example}, {loop1@vbox.example=loop2@vbox.example}, "
     "{loop2@vbox.example=loop1@vbox.example}, {self@vbox.example=self@vbox.example,x@vbox.example}, "
     "{@catch.example=@vbox.example}, {user@vbox.example=target@else.example}, {local=root}, "
     "{two@vbox.example=one two}, {nm@vbox.example=Foo <foo@bar.example>}, {\"q s\"@vbox.example=quoted@vbox.example}, "
     "{grp@vbox.example=\"a b\"@vbox.example}, {chain@vbox.example=a@valias.example, local} }"},
    {"virtual_mailbox_domains", "vbox.example, catch.example"},
    {"relay_domains", "relay.example, .sub.example"},
    {"recipient_delimiter", "+"},
    {"transport_maps",
     "inline:{ {special.example=smtp:[mx.special]}, {.special.example=relay:}, {user@vbox.example=lmtp:unix:foo}, "
     "{err.example=error:}, {errt.example=error:5.1.2 no such}, {nh.example=:newhop}, {noop.example=:} }"},
    {"virtual_transport", "lmtp:unix:private/dovecot-lmtp"},
    {"local_transport", "local:$myhostname"},
    {"local_recipient_maps", "inline:{foo=x,root=x}"},
    {"virtual_mailbox_maps", "inline:{ {one@vbox.example=1}, {user@vbox.example=1}}"},
    {"relay_recipient_maps", "inline:{ {z@relay.example=1} }"},
    {"sender_dependent_relayhost_maps",
     "inline:{ {s@a.example=[relay.a]:99}, {@b.example=relay.b}, {t@c.example=DUNNO}, {<>=null.relay} }"},
    {"sender_dependent_default_transport_maps", "inline:{ {s@d.example=smtp2:x}, {s@a.example=smtp2:} }"},
    {"relayhost", "rh.example"},
};

struct fixture {
    struct config *config;
    struct resolver *resolver;
    struct arena *arena;
};

static struct fixture *fixture_new(const char *const more[][2], size_t count)
{
    struct fixture *fixture = mem_alloc(sizeof *fixture);
    fixture->config = config_new_default();
    for (size_t i = 0; i < COUNT(settings); i++)
        config_set(fixture->config, settings[i][0], settings[i][1]);
    for (size_t i = 0; i < count; i++)
        config_set(fixture->config, more[i][0], more[i][1]);
    fixture->resolver = resolver_new(fixture->config);
    fixture->arena = arena_new();
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    arena_free(fixture->arena);
    resolver_free(fixture->resolver);
    config_free(fixture->config);
    free(fixture);
}

static int set_up(void **state)
{
    *state = fixture_new(NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* --- rewriting ---------------------------------------------------------------------------- */

static void check_rewrites(struct fixture *fixture, const struct rewrite_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *result;
        resolve_rewrite(fixture->resolver, cases[i].address, fixture->arena, &result);
        if (strcmp(result, cases[i].rewritten) != 0)
            fail_msg("rewrite <%s>: got <%s>, want <%s>", cases[i].address, result, cases[i].rewritten);
    }
}

static void rewrites_as_postfix_does(void **state)
{
    check_rewrites(*state, rewrite_cases, COUNT(rewrite_cases));
}

static void rewrites_as_configured(void **state UNUSED)
{
    static const char *const complete[][2] = {{"append_dot_mydomain", "yes"}};
    static const struct rewrite_case complete_cases[] = {
        {"a@b", "a@b.example.com"},       {"a@b.c", "a@b.c"}, {"a", "a@example.com"},
        {"a@[1.2.3.4]", "a@[1.2.3.4]"},   {"a@", "a@"},       {"a!b", "b@a.example.com"},
        {"a%b", "a@b.example.com"},       {"a@b.", "a@b"},     {"", ""},
    };
    static const char *const off[][2] = {
        {"swap_bangpath", "no"}, {"allow_percent_hack", "no"}, {"append_at_myorigin", "no"}};
    static const struct rewrite_case off_cases[] = {{"a!b", "a!b"}, {"a%b", "a%b"}, {"a", "a"}};
    struct fixture *fixture = fixture_new(complete, 1);
    check_rewrites(fixture, complete_cases, COUNT(complete_cases));
    fixture_free(fixture);
    fixture = fixture_new(off, 3);
    check_rewrites(fixture, off_cases, COUNT(off_cases));
    fixture_free(fixture);
}

/* --- classes and transports ---------------------------------------------------------------- */

static unsigned flags_of(const struct resolution *r)
{
    if (r->bad_syntax)
        return BAD;
    return 256u << r->address_class | (r->routed ? ROUTED : 0u) | (r->failed ? 8u : 0u);
}

static void check_resolution(struct fixture *fixture, const struct resolve_case *want)
{
    struct resolution r;
    resolve_address(fixture->resolver, want->sender, want->address, fixture->arena, CLOCK_NEVER, &r);
    if (flags_of(&r) != want->flags || strcmp(r.address, want->recipient) != 0 ||
        (want->flags != BAD && (strcmp(r.transport, want->transport) != 0 || strcmp(r.next_hop, want->next_hop) != 0)))
        fail_msg("resolve <%s>: got %u %s:%s <%s>, want %u %s:%s <%s>", want->address, flags_of(&r), r.transport,
                 r.next_hop, r.address, want->flags, want->transport, want->next_hop, want->recipient);
}

static void resolves_as_postfix_does(void **state)
{
    for (size_t i = 0; i < COUNT(resolve_cases); i++)
        check_resolution(*state, &resolve_cases[i]);
}

static void knows_utf8_addresses(void **state)
{
    static const struct resolve_case cases[] = {
        {"", "\xc3\xa9@c.example", OTHER, "smtp", "null.relay", "\xc3\xa9@c.example"},
        {"", "a@\xc3\xa9.example", OTHER, "smtp", "null.relay", "a@\xc3\xa9.example"},
        {"", "\xe9@c.example", BAD, "", "", "\xe9@c.example"},
        {"", "a@\xc0\xaf.example", BAD, "", "", "a@\xc0\xaf.example"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_resolution(*state, &cases[i]);
}

static void asks_parents_and_wildcards_of_transport_maps(void **state UNUSED)
{
    static const char *const plain[][2] = {
        {"parent_domain_matches_subdomains", "transport_maps"},
        {"transport_maps", "inline:{ {special.example=lmtp:x}, {*=smtp:everything}, {v@vbox.example=discard:} }"},
        {"relayhost", ""},
        {"sender_dependent_relayhost_maps", ""},
        {"relocated_maps", "inline:{ {gone@vbox.example=new@else.example} }"},
    };
    static const struct resolve_case cases[] = {
        {"", "z@a.b.special.example", OTHER, "lmtp", "x", "z@a.b.special.example"},
        {"", "z@any.example", OTHER, "smtp", "everything", "z@any.example"},
        {"", "v+ext@vbox.example", VBOX, "discard", "vbox.example", "v+ext@vbox.example"},
        {"", "foo@example.com", LOCAL, "smtp", "everything", "foo@example.com"},
        {"", "q@valias.example", VALIAS, "error", "5.1.1 User unknown in virtual alias table", "q@valias.example"},
        {"", "gone@vbox.example", VBOX, "error", "5.1.6 User has moved to new@else.example", "gone@vbox.example"},
    };
    struct fixture *fixture = fixture_new(plain, COUNT(plain));
    for (size_t i = 0; i < COUNT(cases); i++)
        check_resolution(fixture, &cases[i]);
    fixture_free(fixture);
}

/* --- existence and expansion ------------------------------------------------------------------ */

struct address_case {
    const char *address;
    enum address_validity validity;
    const char *unknown_in;
    const char *expanded; /* joined by spaces; NULL: fails */
};

static void check_address(struct fixture *fixture, const struct address_case *want)
{
    struct address_answer answer;
    struct str joined = STR_EMPTY;
    resolve_question(fixture->resolver, want->address, ADDRESS_EXPAND, fixture->arena, CLOCK_NEVER, &answer);
    for (size_t i = 0; i < answer.expanded_count; i++)
        str_printf(&joined, "%s%s", i > 0 ? " " : "", answer.expanded[i]);
    assert_true(answer.expanded_count > 0);
    if (answer.validity != want->validity || strcmp(answer.unknown_in, want->unknown_in) != 0 ||
        answer.expansion_failed != (want->expanded == NULL) ||
        (want->expanded != NULL && strcmp(str_text(&joined), want->expanded) != 0))
        fail_msg("<%s>: got %d \"%s\" [%s] %s", want->address, answer.validity, answer.unknown_in, str_text(&joined),
                 answer.expansion_reason);
    str_free(&joined);
}

/* What Postfix 3.7 answered at RCPT and delivered to. */
static void checks_and_expands_as_postfix_does(void **state)
{
    static const struct address_case cases[] = {
        {"foo", ADDRESS_VALID, "", "foo@example.com"},
        {"foo+x", ADDRESS_VALID, "", "foo+x@example.com"},
        {"nobody", ADDRESS_UNKNOWN, "local recipient table", "nobody@example.com"},
        {"postmaster", ADDRESS_VALID, "", "postmaster@example.com"},
        {"MAILER-DAEMON@example.com", ADDRESS_VALID, "", "MAILER-DAEMON@example.com"},
        {"double-bounce@example.com", ADDRESS_VALID, "", "double-bounce@example.com"},
        {"a@valias.example", ADDRESS_VALID, "", "b@vbox.example c@other.example"},
        {"a+e@valias.example", ADDRESS_VALID, "", "b+e@vbox.example c+e@other.example"},
        {"zz@valias.example", ADDRESS_UNKNOWN, "virtual alias table", "zz@valias.example"},
        {"one@vbox.example", ADDRESS_VALID, "", "one@vbox.example"},
        {"one+e@vbox.example", ADDRESS_VALID, "", "one+e@vbox.example"},
        {"nope@vbox.example", ADDRESS_UNKNOWN, "virtual mailbox table", "nope@vbox.example"},
        {"user+e+f@vbox.example", ADDRESS_VALID, "", "target+e+f@else.example"},
        {"user@VBOX.example", ADDRESS_VALID, "", "target@else.example"},
        {"q@catch.example", ADDRESS_VALID, "", "q@vbox.example"},
        {"q+e@catch.example", ADDRESS_VALID, "", "q+e@vbox.example"},
        {"x y@catch.example", ADDRESS_VALID, "", "x y@vbox.example"},
        {"z@relay.example", ADDRESS_VALID, "", "z@relay.example"},
        {"y@relay.example", ADDRESS_UNKNOWN, "relay recipient table", "y@relay.example"},
        {"x@other.example", ADDRESS_VALID, "", "x@other.example"},
        {"loop1@vbox.example", ADDRESS_VALID, "", NULL},
        {"self@vbox.example", ADDRESS_VALID, "", "self@vbox.example x@vbox.example"},
        {"local", ADDRESS_VALID, "", "root@example.com"},
        {"local+e", ADDRESS_VALID, "", "root+e@example.com"},
        {"local@localhost", ADDRESS_VALID, "", "root@example.com"},
        {"two@vbox.example", ADDRESS_VALID, "", "one@example.com two@example.com"},
        {"nm@vbox.example", ADDRESS_VALID, "", "foo@bar.example"},
        {"q s@vbox.example", ADDRESS_VALID, "", "quoted@vbox.example"},
        {"Q S@vbox.example", ADDRESS_VALID, "", "quoted@vbox.example"},
        {"grp@vbox.example", ADDRESS_VALID, "", "a b@vbox.example"},
        {"chain@vbox.example", ADDRESS_VALID, "", "b@vbox.example root@example.com c@other.example"},
        {"a%vbox.example@localhost", ADDRESS_UNKNOWN, "virtual mailbox table", "a%vbox.example@localhost"},
        {"foo@[127.0.0.1]", ADDRESS_VALID, "", "foo@[127.0.0.1]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_address(*state, &cases[i]);
}

static void an_alias_loop_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct address_answer answer;
    resolve_question(fixture->resolver, "loop1@vbox.example", ADDRESS_EXPAND, fixture->arena, CLOCK_NEVER, &answer);
    assert_true(answer.expansion_failed);
    assert_string_equal(answer.expansion_reason, "4.6.0 Alias expansion error");
}

static void expansion_has_limits(void **state UNUSED)
{
    static const char *const limits[][2] = {
        {"virtual_alias_expansion_limit", "3"},
        {"virtual_alias_recursion_limit", "2"},
        {"virtual_alias_address_length_limit", "20"},
        {"virtual_alias_maps", "inline:{ {three@x=a@x,b@x,c@x}, {four@x=a@x,b@x,c@x,d@x}, {deep@x=deep1@x}, "
                               "{deep1@x=deep2@x}, {deep2@x=deep3@x}, {shallow@x=shallow1@x}, {long@x=aaaaaaaaaaaaaaaaaaaaaaa@x} }"},
        {"propagate_unmatched_extensions", ""},
    };
    static const struct address_case cases[] = {
        {"three@x", ADDRESS_VALID, "", "a@x b@x c@x"}, {"four@x", ADDRESS_VALID, "", NULL},
        {"deep@x", ADDRESS_VALID, "", NULL},           {"shallow@x", ADDRESS_VALID, "", "shallow1@x"},
        {"long@x", ADDRESS_VALID, "", NULL},           {"three+e@x", ADDRESS_VALID, "", "a@x b@x c@x"},
    };
    struct fixture *fixture = fixture_new(limits, COUNT(limits));
    for (size_t i = 0; i < COUNT(cases); i++)
        check_address(fixture, &cases[i]);
    fixture_free(fixture);
}

static void empty_recipient_tables_accept_all(void **state UNUSED)
{
    static const char *const none[][2] = {
        {"local_recipient_maps", ""}, {"virtual_mailbox_maps", ""}, {"relay_recipient_maps", ""}};
    static const struct address_case cases[] = {
        {"nobody", ADDRESS_VALID, "", "nobody@example.com"},
        {"nope@vbox.example", ADDRESS_VALID, "", "nope@vbox.example"},
        {"y@relay.example", ADDRESS_VALID, "", "y@relay.example"},
        {"zz@valias.example", ADDRESS_UNKNOWN, "virtual alias table", "zz@valias.example"},
    };
    struct fixture *fixture = fixture_new(none, COUNT(none));
    for (size_t i = 0; i < COUNT(cases); i++)
        check_address(fixture, &cases[i]);
    fixture_free(fixture);
}

/* A table that cannot say is an error, wherever it stands; it is never "unknown". */
static void a_failing_table_is_an_error(void **state UNUSED)
{
    static const struct {
        const char *parameter, *address;
    } cases[] = {
        {"virtual_mailbox_domains", "nope@vbox.example"}, {"virtual_alias_domains", "nope@vbox.example"},
        {"virtual_alias_maps", "one@vbox.example"},       {"virtual_mailbox_maps", "one@vbox.example"},
        {"mydestination", "foo@example.com"},             {"relay_domains", "y@relay.example"},
        {"relay_recipient_maps", "y@relay.example"},      {"local_recipient_maps", "nobody@example.com"},
        {"transport_maps", "one@vbox.example"},           {"relocated_maps", "one@vbox.example"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const broken[][2] = {{cases[i].parameter, "fail:test"}};
        struct fixture *fixture = fixture_new(broken, 1);
        for (unsigned flags = 0; flags <= ADDRESS_EXPAND; flags++) {
            struct address_answer answer;
            resolve_question(fixture->resolver, cases[i].address, flags, fixture->arena, CLOCK_NEVER, &answer);
            if (answer.validity != ADDRESS_ERROR || strcmp(answer.failed_table, "fail:test") != 0)
                fail_msg("%s=fail: <%s> is %d (%s)", cases[i].parameter, cases[i].address, answer.validity,
                         answer.failed_table);
        }
        struct route route;
        resolve_route(fixture->resolver, "", cases[i].address, fixture->arena, CLOCK_NEVER, &route);
        bool routes = strcmp(cases[i].parameter, "virtual_alias_maps") == 0 || strstr(cases[i].parameter, "_recipient_maps") ||
                      strcmp(cases[i].parameter, "virtual_mailbox_maps") == 0;
        assert_int_equal(route.status, routes ? TABLE_FOUND : TABLE_ERROR);
        fixture_free(fixture);
    }
}

/* --- search orders -------------------------------------------------------------------------- */

struct search_case {
    enum table_key_kind kind;
    const char *key;
    const char *asked; /* all keys in their order, joined by spaces */
};

/* Finds out the order by adding, one after another, the last key that was asked. */
static void check_search(struct fixture *fixture, const struct search_case *want)
{
    struct slice rest = slice_of(want->asked), key;
    size_t position = 0;
    while (slice_next_token(&rest, " ", &key)) {
        struct found found;
        /* Only this key and all later ones exist: this one must be the answer. */
        struct str table = STR_EMPTY;
        struct slice later = slice_skip(slice_of(want->asked), (size_t)(key.data - want->asked)), one;
        str_append(&table, "inline:{ ");
        while (slice_next_token(&later, " ", &one))
            str_printf(&table, "{%.*s = [%.*s]} ", SLICE_ARGS(one), SLICE_ARGS(one));
        str_append(&table, "}");
        struct maps *maps = maps_open("x_maps", str_text(&table), fixture->config, TABLE_FOLD_KEY);
        enum table_status status = resolve_find_kind(fixture->resolver, maps, want->kind, want->key, fixture->arena,
                                                     CLOCK_NEVER, &found);
        char *expected = arena_printf(fixture->arena, "[%.*s]", SLICE_ARGS(key));
        if (status != TABLE_FOUND || strcmp(str_text(&found.value), expected) != 0)
            fail_msg("key %s, step %zu: got %d %s, want %s", want->key, position, status, str_text(&found.value), expected);
        str_free(&found.value);
        str_free(&table);
        maps_close(maps);
        position++;
    }
}

static void searches_in_order(void **state)
{
    static const struct search_case cases[] = {
        {KEY_EXACT, "a.b", "a.b"},
        {KEY_ADDRESS, "u+e@vbox.example", "u+e@vbox.example u@vbox.example @vbox.example"},
        {KEY_ADDRESS, "u+e@localhost", "u+e@localhost u@localhost u+e u @localhost"},
        {KEY_ADDRESS, "U@localhost", "u@localhost u @localhost"},
        {KEY_ADDRESS, "u", "u"},
        {KEY_ADDRESS, "u@example.com", "u@example.com u @example.com"},
        {KEY_ADDRESS, "u@[127.0.0.1]", "u@[127.0.0.1] u @[127.0.0.1]"},
        {KEY_DOMAIN, "a.b.c", "a.b.c b.c c"},
        {KEY_ADDRESS_ACCESS, "u+e@a.b.c", "u+e@a.b.c u@a.b.c a.b.c b.c c u+e@ u@"},
        {KEY_NETWORK, "192.0.2.1", "192.0.2.1 192.0.2 192.0 192"},
        {KEY_NETWORK, "2001:db8::1", "2001:db8::1 2001:db8: 2001:db8 2001"},
    };
    static const struct search_case with_dots[] = {
        {KEY_DOMAIN, "a.b.c", "a.b.c .b.c .c"},
        {KEY_ADDRESS_ACCESS, "u@a.b.c", "u@a.b.c a.b.c .b.c .c u@"},
    };
    static const char *const none[][2] = {{"parent_domain_matches_subdomains", "transport_maps"}};
    struct fixture *fixture = fixture_new(none, 1);
    for (size_t i = 0; i < COUNT(cases); i++)
        check_search(*state, &cases[i]);
    for (size_t i = 0; i < COUNT(with_dots); i++)
        check_search(fixture, &with_dots[i]);
    fixture_free(fixture);
}

static void extensions(void **state UNUSED)
{
    static const struct {
        const char *delimiters, *local;
        size_t length;
        const char *special;
    } cases[] = {
        {"-", "owner-list", 5, "no"}, {"-", "list-request", 8, "no"},
        {"+", "a+b", 2},         {"+", "a+b+c", 4},       {"+", "+b", 0},           {"+", "a", 0},
        {"", "a+b", 0},          {"-+", "a-b+c", 4},      {"-", "owner-list", 0},   {"-", "list-request", 0},
        {"-", "list-x", 2},      {"-", "-request", 0},    {"+", "owner-list", 0},   {"+", "a+", 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const overrides[][2] = {{"recipient_delimiter", cases[i].delimiters},
                                           {"owner_request_special", cases[i].special != NULL ? cases[i].special : "yes"}};
        struct fixture *fixture = fixture_new(overrides, COUNT(overrides));
        size_t got = resolve_extension(fixture->resolver, slice_of(cases[i].local));
        if (got != cases[i].length)
            fail_msg("%s in %s: %zu", cases[i].delimiters, cases[i].local, got);
        fixture_free(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rewrites_as_postfix_does, set_up, tear_down),
        cmocka_unit_test(rewrites_as_configured),
        cmocka_unit_test_setup_teardown(resolves_as_postfix_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_utf8_addresses, set_up, tear_down),
        cmocka_unit_test(asks_parents_and_wildcards_of_transport_maps),
        cmocka_unit_test_setup_teardown(checks_and_expands_as_postfix_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_alias_loop_says_so, set_up, tear_down),
        cmocka_unit_test(expansion_has_limits),
        cmocka_unit_test(empty_recipient_tables_accept_all),
        cmocka_unit_test(a_failing_table_is_an_error),
        cmocka_unit_test_setup_teardown(searches_in_order, set_up, tear_down),
        cmocka_unit_test(extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
