/* SPDX-License-Identifier: ISC */
/* resolv.conf(5) and resolver_servers, as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/dns/dns_reverse.h"
#include "resolver/resolver.h"

static void test_resolv_conf(void **state UNUSED)
{
    static const struct {
        const char *text, *servers;
        unsigned timeout, attempts;
    } cases[] = {
        {"", "127.0.0.1", 5, 2},
        {"nameserver 192.0.2.53\n", "192.0.2.53", 5, 2},
        {"# nameserver 192.0.2.1\n; nameserver 192.0.2.2\nnameserver\t192.0.2.53 # ours\nsearch a.test\n", "192.0.2.53", 5, 2},
        {"nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
         "192.0.2.1,[2001:db8::1],192.0.2.3", 5, 2},
        {"nameserver host.test\nnameserver fe80::1%eth0\nnameserver 1.2.3\nnameserver\n", "127.0.0.1", 5, 2},
        {"options timeout:1 attempts:1 rotate\n", "127.0.0.1", 1, 1},
        {"options timeout:0 attempts:99999\noptions timeout:x\n", "127.0.0.1", 1, 5},
        {"options timeout:600\n", "127.0.0.1", 30, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct resolv_conf conf;
        resolv_conf_parse(slice_of(cases[i].text), &conf);
        assert_string_equal(str_text(&conf.servers), cases[i].servers);
        assert_int_equal(conf.timeout_s, cases[i].timeout);
        assert_int_equal(conf.attempts, cases[i].attempts);
        str_free(&conf.servers);
    }
}

static void test_resolver_servers(void **state UNUSED)
{
    static const struct {
        const char *text, *servers; /* NULL: malformed */
    } cases[] = {
        {"192.0.2.53", "192.0.2.53"},
        {"127.0.0.1:5353, [2001:db8::1]:53 2001:db8::2", "127.0.0.1:5353,[2001:db8::1]:53,[2001:db8::2]"},
        {"localhost", NULL}, {"127.0.0.1:0", NULL}, {"127.0.0.1:65536", NULL}, {"127.0.0.1:", NULL}, {"127.0.0.1:x", NULL},
        {"[2001:db8::1", NULL}, {"[2001:db8::1]53", NULL}, {"[]", NULL}, {"", NULL}, {":53", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct resolv_conf conf;
        resolv_conf_parse(SLICE("nameserver 192.0.2.1\n"), &conf);
        bool good = resolv_conf_parse_servers(cases[i].text, &conf);
        if (good != (cases[i].servers != NULL))
            fail_msg("\"%s\" was %s", cases[i].text, good ? "accepted" : "refused");
        if (good)
            assert_string_equal(str_text(&conf.servers), cases[i].servers);
        str_free(&conf.servers);
    }
}

static void test_reverse_names(void **state UNUSED)
{
    static const struct {
        const char *address, *name;
    } cases[] = {
        {"192.0.2.1", "1.2.0.192.in-addr.arpa"},
        {"2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"}, /* RFC 3596 2.5 */
        {"unknown", NULL}, {"", NULL}, {"192.0.2", NULL},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *name = dns_reverse_name(cases[i].address, arena);
        if (cases[i].name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, cases[i].name);
    }
    arena_free(arena);
}

static void test_cache(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct dns_record record = {10, (char *)"mx.test"};
    struct dns_answer answer = {.status = DNS_FOUND, .ttl = 300, .records = &record, .count = 1}, found;
    cache_add("A.Test", DNS_MX, &answer);
    assert_true(cache_find("a.test", DNS_MX, arena, &found));
    assert_string_equal(found.records[0].data, "mx.test");
    assert_int_equal(found.records[0].preference, 10);
    assert_false(cache_find("a.test", DNS_A, arena, &found));
    cache_add("a.test", DNS_MX, &(struct dns_answer){.status = DNS_NO_NAME, .ttl = 300}); /* the newest counts */
    assert_true(cache_find("a.test", DNS_MX, arena, &found));
    assert_int_equal(found.status, DNS_NO_NAME);
    cache_add("b.test", DNS_MX, &(struct dns_answer){.status = DNS_TEMPORARY, .ttl = 300});
    assert_false(cache_find("b.test", DNS_MX, arena, &found));
    answer.ttl = 0;
    cache_add("c.test", DNS_MX, &answer);
    assert_false(cache_find("c.test", DNS_MX, arena, &found));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolv_conf),
        cmocka_unit_test(test_resolver_servers),
        cmocka_unit_test(test_reverse_names),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
