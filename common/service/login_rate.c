/* SPDX-License-Identifier: ISC */
/* login_rate: reads limits of logins, from main.cf and from tables. Pure; fuzzed. */
#include "common/service/login_rate.h"

static const struct { char name; uint32_t seconds; } units[] = {
    {'w', 7 * 86400}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1},
};

static bool parse_period(struct slice text, uint32_t *seconds)
{
    uint64_t number = 1;
    if (text.len == 0)
        return false;
    char unit = text_lower_char(text.data[text.len - 1]);
    struct slice digits = slice_range(text.data, text.len - 1);
    if (digits.len > 0 && !slice_to_u64(digits, &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].name == unit && number > 0 && number <= STATE_WINDOW_LONGEST / units[i].seconds) {
            *seconds = (uint32_t)number * units[i].seconds;
            return true;
        }
    return false;
}

static bool parse_one(struct slice word, struct login_rate *rate)
{
    const char *slash = memchr(word.data, '/', word.len);
    struct slice number = slash != NULL ? slice_range(word.data, (size_t)(slash - word.data)) : word;
    struct state_window window = {.seconds = 3600};
    uint64_t limit;
    if (slice_equal_nocase(word, SLICE("none")))
        return true;
    if (!slice_to_u64(number, &limit) || limit > UINT32_MAX)
        return false;
    if (slash != NULL && !parse_period(slice_skip(word, number.len + 1), &window.seconds))
        return false;
    window.limit = (uint32_t)limit;
    if (limit == 0)
        return true;
    if (rate->count == STATE_WINDOW_LIMIT)
        return false;
    rate->windows[rate->count++] = window;
    return true;
}

bool login_rate_parse(struct slice text, struct login_rate *rate)
{
    struct slice word;
    rate->count = 0;
    while (slice_next_token(&text, ", \t\r\n", &word))
        if (!parse_one(word, rate))
            return false;
    return true;
}

const char *login_rate_period(uint32_t seconds, struct arena *arena)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (seconds % units[i].seconds == 0)
            return arena_printf(arena, "%u%c", seconds / units[i].seconds, units[i].name);
    return "";
}
