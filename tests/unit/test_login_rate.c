/* SPDX-License-Identifier: ISC */
/* Limits of logins as admins write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/service/login_rate.h"

static void test_rates(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool works;
        unsigned count;
        struct state_window first, last;
    } cases[] = {
        {"", true, 0, {0}, {0}},
        {"100", true, 1, {3600, 100, 0}, {3600, 100, 0}},
        {"100/1h, 1000/1d", true, 2, {3600, 100, 0}, {86400, 1000, 0}},
        {"5/m 20/90m 7/2W", true, 3, {60, 5, 0}, {1209600, 7, 0}},
        {"1/s,2/m,3/h,4/d", true, 4, {1, 1, 0}, {86400, 4, 0}},
        {"none", true, 0, {0}, {0}},
        {"0", true, 0, {0}, {0}},
        {"0/1d 5/1h", true, 1, {3600, 5, 0}, {3600, 5, 0}},
        {"4294967295/1d", true, 1, {86400, UINT32_MAX, 0}, {86400, UINT32_MAX, 0}},
        {"4294967296/1d", false, 0, {0}, {0}},
        {"1/s,2/m,3/h,4/d,5/w", false, 0, {0}, {0}},
        {"many", false, 0, {0}, {0}},
        {"-1", false, 0, {0}, {0}},
        {"10/", false, 0, {0}, {0}},
        {"10/h/d", false, 0, {0}, {0}},
        {"10/0h", false, 0, {0}, {0}},
        {"10/1y", false, 0, {0}, {0}},
        {"10/3600", false, 0, {0}, {0}},
        {"/1h", false, 0, {0}, {0}},
        {"10/99999999w", false, 0, {0}, {0}},
        {"10/18446744073709551615s", false, 0, {0}, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct login_rate rate;
        bool works = login_rate_parse(slice_of(cases[i].text), &rate);
        if (works != cases[i].works || (works && rate.count != cases[i].count))
            fail_msg("%s", cases[i].text);
        if (works && rate.count > 0) {
            assert_memory_equal(&rate.windows[0], &cases[i].first, sizeof cases[i].first);
            assert_memory_equal(&rate.windows[rate.count - 1], &cases[i].last, sizeof cases[i].last);
        }
    }
}

static void test_periods(void **state UNUSED)
{
    static const struct { uint32_t seconds; const char *text; } cases[] = {
        {3600, "1h"}, {5400, "90m"}, {86400, "1d"}, {61, "61s"}, {604800, "1w"}, {1209600, "2w"}, {7200, "2h"},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(login_rate_period(cases[i].seconds, arena), cases[i].text);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_periods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
