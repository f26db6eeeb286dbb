/* SPDX-License-Identifier: ISC */
/* The counters of anvil(8): what is counted together, when it begins anew, and that memory has an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/service/rate.h"

static void configure(size_t room)
{
    rate_configure(&(struct rate_settings){60, 600, 100, 32, 84, room});
}

static void test_networks(void **state)
{
    static const struct { const char *one, *other; uint32_t connections; } cases[] = {
        {"192.0.2.1", "192.0.2.1", 2},         {"192.0.2.1", "192.0.2.2", 1},
        {"2001:db8::1", "2001:db8::2", 2},     {"2001:db8::1", "2001:db8:0:0:0:1000::", 1},
        {"2001:db8:0:0:0:fff::", "2001:db8::", 2}, {"::ffff:1.2.3.4", "1.2.3.4", 1},
    };
    (void)state;
    configure(100);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rate_client *one = rate_connect(cases[i].one, 1000);
        struct rate_client *other = rate_connect(cases[i].other, 1000);
        assert_non_null(one);
        assert_int_equal(rate_connections(other), cases[i].connections);
        rate_disconnect(one, 1000);
        rate_disconnect(other, 1000);
    }
    assert_null(rate_connect("unknown", 1000));
    rate_disconnect(NULL, 1000);
}

static void test_time_unit(void **state)
{
    (void)state;
    configure(100);
    struct rate_client *client = rate_connect("198.51.100.1", 5000);
    assert_int_equal(rate_peek(client, RATE_CONNECTION, 5000), 1);
    assert_int_equal(rate_add(client, RATE_MESSAGE, 5030), 1);
    assert_int_equal(rate_add(client, RATE_MESSAGE, 5060), 2);
    assert_int_equal(rate_peek(client, RATE_MESSAGE, 5061), 0); /* stale, and not counted */
    assert_int_equal(rate_add(client, RATE_MESSAGE, 5061), 1);
    assert_int_equal(rate_peek(client, RATE_CONNECTION, 5061), 0); /* all counters begin anew together */
    assert_int_equal(rate_peek(client, RATE_AUTH, 5061), 0);
    rate_disconnect(client, 5061);
}

static void test_room(void **state)
{
    (void)state;
    configure(1000);
    char address[64];
    struct rate_client *held = rate_connect("203.0.113.1", 9000);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(address, sizeof address, "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
        rate_disconnect(rate_connect(address, 9000), 9000);
    }
    assert_true(rate_size() <= 1001);
    assert_int_equal(rate_connections(held), 1); /* who is connected is never forgotten */
    rate_disconnect(held, 9000);
    for (unsigned i = 0; i < 400; i++) /* what is over goes by itself */
        rate_disconnect(rate_connect("203.0.113.1", 9100), 9100);
    assert_true(rate_size() <= 2);
}

static void test_statistics(void **state)
{
    struct str text = STR_EMPTY;
    (void)state;
    configure(100);
    rate_report("smtp", &text);
    str_clear(&text);
    struct rate_client *one = rate_connect("192.0.2.9", 20000), *two = rate_connect("2001:db8::5", 20000);
    rate_add(one, RATE_RECIPIENT, 20000);
    rate_add(one, RATE_RECIPIENT, 20000);
    rate_add(two, RATE_TLS, 20000);
    rate_report("smtp", &text);
    assert_non_null(strstr(str_text(&text), "statistics: max connection rate 1/60s for (smtp:192.0.2.9) at "));
    assert_non_null(strstr(str_text(&text), "statistics: max connection count 1 for (smtp:192.0.2.9) at "));
    assert_non_null(strstr(str_text(&text), "statistics: max recipient rate 2/60s for (smtp:192.0.2.9) at "));
    assert_non_null(strstr(str_text(&text), "statistics: max newtls rate 1/60s for (smtp:2001:db8::/84) at "));
    assert_null(strstr(str_text(&text), "auth rate"));
    str_clear(&text);
    rate_report("smtp", &text);
    assert_int_equal(text.len, 0); /* each peak once */
    str_free(&text);
    rate_disconnect(one, 20001);
    assert_false(rate_report_is_due(20050));
    rate_disconnect(two, 20050);
    assert_false(rate_report_is_due(20149));
    assert_true(rate_report_is_due(20150)); /* nobody is there, and nothing happened for max_idle */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_time_unit),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
