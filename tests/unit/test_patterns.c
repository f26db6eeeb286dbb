/* SPDX-License-Identifier: ISC */
/* Pattern tables and the protocols of table servers. Beside Postfix's, over many more texts: tests/e2e/test_patterns.py. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include "common/base/fiber.h"
#include "common/table/cidr_index.h"
#include "common/table/regex_rules.h"
#include "common/table/socketmap.h"
#include "tests/unit/table_fixture.h"

/* --- rules ------------------------------------------------------------------------------------- */

static void finds_in_pattern_tables(void **state UNUSED)
{
    static const struct {
        const char *spec, *key, *want;
    } cases[] = {
        {"regexp:{{/(.*)@(.*)/ ${2}-$1$$}}", "A@b.C", "found: b.C-A$"}, /* the key is not folded */
        {"regexp:{{/^a$/i x}}", "A", "not found"},
        {"regexp:{{if /a/}, {/b/ x}, {endif}, {/c/ y}}", "ab", "found: x"},
        {"regexp:{{if /a/}, {/b/ x}, {endif}, {/c/ y}}", "bc", "found: y"},
        {"regexp:{{if /a/}, {/b/ x}}", "b", "not found"},
        {"regexp:{{!/a/ x}}", "b", "found: x"},
        {"regexp:{{/a(/ x}, {/a/ y}}", "a", "found: y"},
        {"regexp:{", "a", "error"},
        {"regexp:/no/such/file", "a", "error"},
        {"cidr:{{192.0.2.0/24 x}, {!2001:db8::/32 y}}", "192.0.2.255", "found: x"},
        {"cidr:{{192.0.2.0/24 x}, {!2001:db8::/32 y}}", "2001:db9::1", "found: y"},
        {"cidr:{{192.0.2.0/24 x}, {!2001:db8::/32 y}}", "192.0.3.0", "not found"},
        {"cidr:{{192.0.2.0/24 x}}", "not an address", "not found"},
        {"cidr:/no/such/file", "192.0.2.1", "error"},
        {"randmap:{only}", "a", "found: only"},
        {"randmap:{}", "a", "error"},
        {"texthash:{{A one}, {b two}}", "a", "found: one"},
        {"texthash:{{A one}, {b two}}", "c", "not found"},
        {"texthash:{x}", "c", "error"},
        {"unionmap:{{regexp:{{/^A$/i x}}}, static:y}", "A", "found: x,y"},
        {"pipemap:{{regexp:{{/(.)(.)/ $2$1}}}, {inline:{{ba = z}}}}", "ab", "found: z"},
        {"socketmap:unix:/no/such/socket:name", "a", "error"},
        {"socketmap:unix:/no/such/socket", "a", "error"},
        {"socketmap:tcp:localhost:1:name", "a", "error"},
        {"tcp:127.0.0.1", "a", "error"},
        {"regexp:", "a", "error"},
#ifdef HAVE_PCRE2
        {"pcre:{{/(?<=x)(\\w+)/ $1}}", "xyz", "found: yz"},
        {"pcre:{{/^(a+)+$/ x}, {/./ y}}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "error"},
#endif
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_find(cases[i].spec, cases[i].key, cases[i].want);
}

static void tells_pattern_tables(void **state UNUSED)
{
    static const struct {
        const char *spec;
        bool pattern, waits;
    } cases[] = {
        {"regexp:{{/a/ b}}", true, false}, {"cidr:{{::/0 b}}", true, false}, {"tcp:127.0.0.1:1", true, true},
        {"socketmap:unix:/x:y", true, true}, {"texthash:{{a b}}", false, false}, {"unionmap:{static:x}", false, false},
        {"unionmap:{tcp:127.0.0.1:1}", true, true}, {"unionmap:{static:x,tcp:127.0.0.1:1}", false, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct table *table = table_open(cases[i].spec, config, TABLE_FOLD_KEY);
        if (table_is_pattern(table) != cases[i].pattern || table_may_wait(table) != cases[i].waits)
            fail_msg("%s", cases[i].spec);
        table_close(table);
    }
}

static void collect(void *context, const char *text)
{
    str_printf(context, "%s\n", text);
}

static void names_file_and_line(void **state UNUSED)
{
    static const struct {
        const struct pattern_syntax *syntax;
        const char *text, *warnings;
    } cases[] = {
        {&regexp_syntax, "#\n/a/ b\n\n/c/\n  d\n/e\n",
         "regexp map t, line 6: no closing regexp delimiter \"/\": skipping this rule\n"},
        {&regexp_syntax, "if /a/\nif /b/\n",
         "regexp map t, line 2: IF has no matching ENDIF\nregexp map t, line 1: IF has no matching ENDIF\n"},
        {&regexp_syntax, "/(a)/ $2\n", "regexp map t, line 1: out of range replacement index \"2\": skipping this rule\n"},
        {&regexp_syntax, " x\n", "t: logical line must not start with whitespace: \" x\"\n"},
        {&cidr_syntax, "1.2.3.4/24 x\n",
         "cidr map t, line 1: non-null host address bits in \"1.2.3.4/24\", perhaps you should use \"1.2.3.0/24\" "
         "instead: skipping this rule\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str warnings = STR_EMPTY;
        struct pattern_rules *rules =
            pattern_rules_parse(cases[i].syntax, "t", slice_of(cases[i].text), 0, collect, &warnings);
        if (strcmp(str_text(&warnings), cases[i].warnings) != 0)
            fail_msg("%s: got %s", cases[i].text, str_text(&warnings));
        pattern_rules_free(rules);
        str_free(&warnings);
    }
}

static void networks_contain_addresses(void **state UNUSED)
{
    static const struct {
        const char *network, *address;
        bool want;
    } cases[] = {
        {"192.0.2.0/25", "192.0.2.127", true}, {"192.0.2.0/25", "192.0.2.128", false}, {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false}, {"128.0.0.0/1", "127.255.255.255", false}, {"2001:db8::/33", "2001:db8:8000::", false},
        {"2001:db8::/33", "2001:db8:7fff::", true}, {"::/0", "ff::", true}, {"[::1]", "::1", true}, {"[::1]", "::2", false},
        {"192.0.2.1/32", "192.0.2.1", true}, {"192.0.2.1/32", "192.0.2.0", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *spec = mem_printf("cidr:{{%s yes}}", cases[i].network), *negated = mem_printf("cidr:{{!%s no}}", cases[i].network);
        bool same_family = (strchr(cases[i].network, ':') != NULL) == (strchr(cases[i].address, ':') != NULL);
        check_find(spec, cases[i].address, cases[i].want ? "found: yes" : "not found");
        check_find(negated, cases[i].address, cases[i].want || !same_family ? "not found" : "found: no");
        free(spec);
        free(negated);
    }
}

/* The rules of cidr_table(5), one after the other. */
static bool step_matches(const struct cidr_step *step, const struct cidr_address *address)
{
    if (step->network.address.family != address->family)
        return false;
    for (unsigned bit = 0; bit < step->network.prefix; bit++)
        if ((step->network.address.bytes[bit / 8] ^ address->bytes[bit / 8]) & 0x80 >> bit % 8)
            return step->negated;
    return !step->negated;
}

static size_t first_step(const struct cidr_step *steps, size_t count, const struct cidr_address *address)
{
    size_t skipping = 0; /* IFs that did not match, and those within */
    for (size_t i = 0; i < count; i++) {
        if (skipping > 0)
            skipping += (steps[i].operation == PATTERN_IF) - (steps[i].operation == PATTERN_ENDIF);
        else if (steps[i].operation == PATTERN_IF)
            skipping = !step_matches(&steps[i], address);
        else if (steps[i].operation == PATTERN_RULE && step_matches(&steps[i], address))
            return i;
    }
    return CIDR_NO_STEP;
}

/* Few addresses, so that networks lie within each other and end where addresses do. */
static struct cidr_address any_address(void)
{
    static const unsigned char bytes[] = {0, 1, 0x7f, 0x80, 0xff};
    struct cidr_address address = {.family = random() % 2 ? AF_INET : AF_INET6};
    for (size_t i = 0; i < (address.family == AF_INET ? 4 : 16); i++)
        address.bytes[i] = bytes[(size_t)random() % sizeof bytes];
    return address;
}

static struct cidr_step any_step(size_t *depth)
{
    struct cidr_step step = {.negated = random() % 4 == 0, .network.address = any_address()};
    unsigned bits = step.network.address.family == AF_INET ? 32 : 128;
    step.network.prefix = (unsigned)random() % 3 == 0 ? bits : (unsigned)random() % (bits + 1);
    for (unsigned bit = step.network.prefix; bit < bits; bit++)
        step.network.address.bytes[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
    long choice = random() % 6;
    if (choice == 0) {
        step.operation = PATTERN_IF;
        ++*depth;
    } else if (choice == 1 && *depth > 0) {
        step.operation = PATTERN_ENDIF;
        --*depth;
    }
    return step;
}

static void an_index_says_what_the_rules_say(void **state UNUSED)
{
    for (unsigned round = 0; round < 2000; round++) {
        srandom(round);
        struct cidr_step steps[24];
        size_t count = (size_t)random() % COUNT(steps), depth = 0;
        for (size_t i = 0; i < count; i++)
            steps[i] = any_step(&depth);
        struct cidr_index *index = cidr_index_new(steps, count);
        for (unsigned i = 0; i < 50; i++) {
            struct cidr_address address = any_address();
            if (cidr_index_find(index, &address) != first_step(steps, count, &address))
                fail_msg("round %u, address %u", round, i);
        }
        cidr_index_free(index);
    }
}

static void a_changed_file_is_read_again(void **state UNUSED)
{
    char *spec = spec_of("regexp", "rules");
    write_file("rules", "/a/ one\n");
    struct table *table = table_open(spec, config, 0);
    check_find(spec, "a", "found: one");
    write_file("rules", "/a/ another\n");
    assert_int_equal(fiber_sleep_until(deadline_in_ms(1050)), WAIT_OK);
    check_find(spec, "a", "found: another");
    table_close(table);
    free(spec);
}

/* A long subject and many rules on the small stack that lookups have. */
static void match_on_a_fiber(void *arg)
{
    struct str key = STR_EMPTY;
    for (int i = 0; i < 1300; i++) /* regexp.c takes no more */
        str_append(&key, "word word@x ");
    check_find("regexp:{{/^(([a-z]+[ @])+)x (nope)/ $3}, {/(.*)(word)@x $/ $2}}", str_text(&key), "found: word");
#ifdef HAVE_PCRE2
    for (int i = 1300; i < 10000; i++)
        str_append(&key, "word word@x ");
    check_find("pcre:{{/(x|word )+zz$/ no}, {/(.*)(word)@x $/ $2}}", str_text(&key), "found: word");
#endif
    str_free(&key);
    *(bool *)arg = true;
    fiber_loop_stop();
}

static void patterns_fit_a_fiber(void **state UNUSED)
{
    bool done = false;
    fiber_loop_init();
    fiber_spawn("match", match_on_a_fiber, &done);
    fiber_loop_run();
    assert_true(done);
}

/* --- servers -------------------------------------------------------------------------------------- */

static void parses_netstrings(void **state UNUSED)
{
    static const struct {
        const char *text;
        enum netstring_status want;
        const char *data;
    } cases[] = {
        {"2:ab,", NETSTRING_WHOLE, "ab"}, {"0:,", NETSTRING_WHOLE, ""}, {"2:ab,x", NETSTRING_WHOLE, "ab"},
        {"02:ab,", NETSTRING_WHOLE, "ab"}, {"2:ab", NETSTRING_MORE, NULL}, {"2", NETSTRING_MORE, NULL},
        {"", NETSTRING_MORE, NULL}, {"2:abc", NETSTRING_MALFORMED, NULL}, {":,", NETSTRING_MALFORMED, NULL},
        {"-1:", NETSTRING_MALFORMED, NULL}, {"101:", NETSTRING_TOO_LONG, NULL}, {"99999999999999999999", NETSTRING_TOO_LONG, NULL},
        {"00000000000", NETSTRING_TOO_LONG, NULL}, {"1x", NETSTRING_MALFORMED, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice data;
        size_t used;
        assert_int_equal(netstring_parse(slice_of(cases[i].text), 100, &data, &used), cases[i].want);
        if (cases[i].data != NULL)
            assert_true(slice_equal(data, slice_of(cases[i].data)));
    }
}

static void parses_replies(void **state UNUSED)
{
    static const struct {
        const char *reply;
        enum server_reply want;
        const char *rest;
    } socketmap[] = {
        {"OK data here", REPLY_FOUND, "data here"}, {"OK ", REPLY_FOUND, ""}, {"NOTFOUND ", REPLY_NOT_FOUND, ""},
        {"NOTFOUND", REPLY_NOT_FOUND, ""}, {"TEMP why", REPLY_TEMPORARY, "why"}, {"TIMEOUT ", REPLY_TIMEOUT, ""},
        {"PERM x", REPLY_PERMANENT, "x"}, {"ok x", REPLY_MALFORMED, "x"}, {"", REPLY_MALFORMED, ""},
    }, tcp[] = {
        {"200 a%20b%2525", REPLY_FOUND, "a b%25"}, {"500 no", REPLY_NOT_FOUND, "no"}, {"400 later", REPLY_TEMPORARY, "later"},
        {"200", REPLY_MALFORMED, ""}, {"200x", REPLY_MALFORMED, ""}, {"250 x", REPLY_MALFORMED, "x"}, {"200 ", REPLY_FOUND, ""},
    };
    for (size_t i = 0; i < COUNT(socketmap); i++) {
        struct slice rest;
        assert_int_equal(socketmap_reply_parse(slice_of(socketmap[i].reply), &rest), socketmap[i].want);
        assert_true(slice_equal(rest, slice_of(socketmap[i].rest)));
    }
    for (size_t i = 0; i < COUNT(tcp); i++) {
        struct str value = STR_EMPTY;
        assert_int_equal(tcp_reply_parse(slice_of(tcp[i].reply), &value), tcp[i].want);
        assert_string_equal(str_text(&value), tcp[i].rest);
        str_free(&value);
    }
    static const char *const bad[] = {"200 %", "200 %4", "200 %4g", "200 %00"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct str value = STR_EMPTY;
        assert_int_equal(tcp_reply_parse(slice_of(bad[i]), &value), REPLY_MALFORMED);
        str_free(&value);
    }
    struct str quoted = STR_EMPTY;
    tcp_quote(SLICE("a b%\xe9\n"), &quoted);
    assert_string_equal(str_text(&quoted), "a%20b%25%E9%0A");
    str_free(&quoted);
}

#define LOOKUPS 100

struct echo_server {
    int listener;
    unsigned accepted;
};

/* Echoes the key; slowly, so that lookups must take turns. Closes each connection after a few answers. */
static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char query[128], reply[160], key[100];
    for (int answers = 0; answers < 7; answers++) {
        ssize_t got = read(fd, query, sizeof query - 1);
        if (got <= 0)
            break;
        query[got] = '\0';
        if (sscanf(query, "%*u:name %99[^,],", key) != 1)
            break;
        usleep(2000);
        int len = snprintf(reply, sizeof reply, "%zu:OK %s,", strlen(key) + 3, key);
        if (write(fd, reply, (size_t)len) != len)
            break;
    }
    close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    struct echo_server *server = arg;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        server->accepted++;
        assert_int_equal(pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd), 0);
        pthread_detach(thread);
    }
    return NULL;
}

static unsigned lookups_left = LOOKUPS, lookups_right;
static struct table *echo_table;

static void look_up(void *arg)
{
    struct str value = STR_EMPTY, want = STR_EMPTY;
    str_printf(&want, "Key%u", (unsigned)(uintptr_t)arg);
    if (table_find(echo_table, str_slice(&want), &value, deadline_in_s(20)) == TABLE_FOUND &&
        strcmp(str_text(&value), str_text(&want)) == 0)
        lookups_right++;
    str_free(&value);
    str_free(&want);
    if (--lookups_left == 0)
        fiber_loop_stop();
}

static void many_lookups_share_few_connections(void **state UNUSED)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct echo_server server = {.listener = socket(AF_UNIX, SOCK_STREAM, 0)};
    pthread_t thread;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/echo", directory);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server.listener, 5), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
    char *spec = mem_printf("socketmap:unix:%s:name", address.sun_path);
    echo_table = table_open(spec, config, TABLE_FOLD_KEY);
    for (unsigned i = 0; i < LOOKUPS; i++)
        fiber_spawn("lookup", look_up, (void *)(uintptr_t)i);
    fiber_loop_run();
    assert_int_equal(lookups_right, LOOKUPS);
    assert_true(server.accepted >= 8 && server.accepted <= 40);
    table_close(echo_table);
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(server.listener);
    free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_in_pattern_tables),
        cmocka_unit_test(tells_pattern_tables),
        cmocka_unit_test(names_file_and_line),
        cmocka_unit_test(networks_contain_addresses),
        cmocka_unit_test(an_index_says_what_the_rules_say),
        cmocka_unit_test(a_changed_file_is_read_again),
        cmocka_unit_test(parses_netstrings),
        cmocka_unit_test(parses_replies),
        cmocka_unit_test(patterns_fit_a_fiber),
        cmocka_unit_test(many_lookups_share_few_connections),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
