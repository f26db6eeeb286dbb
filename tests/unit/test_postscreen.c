/* SPDX-License-Identifier: ISC */
/* What postscreen remembers of a client, and how it reads its list of DNS lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/service/postscreen_tests.h"

#define ALL (EARLY_TESTS | DEEP_TESTS)
#define NOW 1700000000

static const struct {
    const char *record;
    unsigned enabled, todo;
    bool is_new;
    const char *written;
} records[] = {
    {"1700000000;1700000000;1700000000;1700000000;1700000000", ALL, 0, false, "1700000000;1700000000;1700000000;1700000000;1700000000"},
    {"1699999999;1700000001;1;1;1", EARLY_TESTS, TEST_BIT(TEST_PREGREET), false, "1699999999;1700000001;1;1;1"},
    {"1700000001;1700000001;1;1;1", ALL, DEEP_TESTS, false, "1700000001;1700000001;1;1;1"},
    {"0;1700000001;0;0;0", EARLY_TESTS, TEST_BIT(TEST_PREGREET), true, "0;1700000001;1;1;1"},
    {"1700000001", ALL, ALL & ~TEST_BIT(TEST_PREGREET), false, "1700000001;1;1;1;1"},
    {"", ALL, ALL, false, "1;1;1;1;1"},
    {"x;-5;99999999999999999999;1700000001 ;1700000001", ALL, ALL & ~TEST_BIT(TEST_BARE_NEWLINE), false, "1;1;1;1;1700000001"},
};

static void test_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct postscreen_stamps stamps;
        struct str text = STR_EMPTY;
        postscreen_stamps_parse(slice_of(records[i].record), &stamps);
        if (postscreen_stamps_todo(&stamps, records[i].enabled, NOW) != records[i].todo)
            fail_msg("%s: todo %x", records[i].record, postscreen_stamps_todo(&stamps, records[i].enabled, NOW));
        assert_int_equal(postscreen_stamps_are_new(&stamps), records[i].is_new);
        postscreen_stamps_print(&stamps, records[i].enabled, &text);
        assert_string_equal(str_text(&text), records[i].written);
        str_free(&text);
    }
}

static void test_last(void **state)
{
    struct postscreen_stamps stamps = {{5, 9, 7, 0, 1}};
    (void)state;
    assert_int_equal(postscreen_stamps_last(&stamps), 9);
}

static const struct {
    const char *text;
    bool good;
    const char *domain, *filter;
    int weight;
} sites[] = {
    {"zen.example", true, "zen.example", NULL, 1},
    {"zen.example*3", true, "zen.example", NULL, 3},
    {"zen.example=127.0.0.2*-4", true, "zen.example", "127.0.0.2", -4},
    {"zen.example=127.0.[0..255].[1;3..5]", true, "zen.example", "127.0.[0..255].[1;3..5]", 1},
    {"zen.example*+2", true, "zen.example", NULL, 2},
    {"zen.example*0", true, "zen.example", NULL, 0},
    {"zen.example*", false, NULL, NULL, 0},
    {"zen.example*x", false, NULL, NULL, 0},
    {"zen.example*2147483648", false, NULL, NULL, 0},
    {"zen.example=127.0.0", false, NULL, NULL, 0},
    {"zen.example=127.0.0.256", false, NULL, NULL, 0},
    {"=127.0.0.2", false, NULL, NULL, 0},
    {"-bad-.example", false, NULL, NULL, 0},
    {"", false, NULL, NULL, 0},
};

static void test_sites(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        struct postscreen_site site;
        bool good = postscreen_site_parse(sites[i].text, &site);
        if (good != sites[i].good)
            fail_msg("\"%s\"", sites[i].text);
        if (!good)
            continue;
        assert_true(slice_equal(site.domain, slice_of(sites[i].domain)));
        assert_true(slice_equal(site.filter, slice_of(sites[i].filter)));
        assert_int_equal(site.weight, sites[i].weight);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_last),
        cmocka_unit_test(test_sites),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
