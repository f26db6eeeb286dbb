/* SPDX-License-Identifier: ISC */
/* The argument of reject_rbl_client, as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/access/dnsxl.h"

static void test_filters(void **state UNUSED)
{
    static const struct {
        const char *filter, *address;
        bool matches;
    } cases[] = {
        {"127.0.0.2", "127.0.0.2", true},           {"127.0.0.2", "127.0.0.3", false},
        {"127.0.0.[2..11]", "127.0.0.11", true},    {"127.0.0.[2..11]", "127.0.0.12", false},
        {"127.0.0.[2..11]", "127.0.0.1", false},    {"127.0.[1;3..5].[0..255]", "127.0.4.77", true},
        {"127.0.[1;3..5].[0..255]", "127.0.2.77", false}, {"127.0.0.[2;4;8]", "127.0.0.8", true},
        {"[127].0.0.2", "127.0.0.2", true},         {"127.0.0.2", "2001:db8::1", false},
        {"127.0.0.2", "127.0.0.2.1", false},        {"127.0.0.2", "127.0.0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (dnsxl_filter_matches(slice_of(cases[i].filter), cases[i].address) != cases[i].matches)
            fail_msg("%s and %s", cases[i].filter, cases[i].address);
    assert_true(dnsxl_filter_matches(slice_range(NULL, 0), "127.0.0.2"));
}

static void test_arguments(void **state UNUSED)
{
    static const struct {
        const char *text, *domain;
        bool good, filtered;
    } cases[] = {
        {"bl.test", "bl.test", true, false},        {"bl.test=127.0.0.2", "bl.test", true, true},
        {"bl.test=", "bl.test", false, false},      {"=127.0.0.2", "", false, false},
        {"", "", false, false},                     {"bl.test=127.0.0", "bl.test", false, false},
        {"bl.test=127.0.0.256", "bl.test", false, false}, {"bl.test=127.0.0.[5..2]", "bl.test", false, false},
        {"bl.test=127.0.0.[2", "bl.test", false, false},  {"bl.test=127.0.0.2x", "bl.test", false, false},
        {"bl.test=127.0.0.[]", "bl.test", false, false},  {"bl.test=127.0.0.[2;]", "bl.test", false, false},
        {"bl.test=127.0.0.4294967298", "bl.test", false, false}, {"bl.test=127..0.2", "bl.test", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dnsxl_list list;
        bool good = dnsxl_parse(cases[i].text, &list);
        if (good != cases[i].good)
            fail_msg("\"%s\" was %s", cases[i].text, good ? "accepted" : "refused");
        assert_true(slice_equal(list.domain, slice_of(cases[i].domain)));
        if (good)
            assert_int_equal(list.filter.data != NULL, cases[i].filtered);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_filters), cmocka_unit_test(test_arguments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
