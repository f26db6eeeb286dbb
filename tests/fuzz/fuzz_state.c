/* SPDX-License-Identifier: ISC */
/* Questions to the state role, its answers, and counters as they lie in its file. The first byte chooses. */
#include <stdint.h>

#include "common/base/log.h"
#include "state/counter.h"

/* What was understood survives its own encoding. */
static void check_question(enum state_record type, struct slice body, struct arena *arena)
{
    struct state_question question;
    struct str again = STR_EMPTY;
    if (!state_question_decode(type, body, arena, &question))
        return;
    state_question_encode(type, &question, &again);
    if (!slice_equal(body, str_slice(&again)))
        log_panic("a question changed");
    str_free(&again);
}

static void check_counter(struct slice stored)
{
    struct state_window windows[2] = {{.seconds = 60, .limit = 10}, {.seconds = 3600, .limit = 0}};
    struct str value = STR_EMPTY;
    int64_t expires = 0;
    unsigned full = counter_charge(stored, 1000000000000, 1, windows, 2, &value, &expires);
    if (full > 1 || (full == 0) != (value.len > 0) || value.len > STATE_VALUE_LIMIT)
        log_panic("a counter out of bounds");
    str_free(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct state_window windows[STATE_WINDOW_LIMIT];
    struct slice body = slice_range((const char *)data + 1, size - 1), value;
    uint8_t exceeded;
    bool found;
    if (size == 0)
        ;
    else if (data[0] >= STATE_GET && data[0] <= STATE_CHARGE)
        check_question((enum state_record)data[0], body, arena);
    else if (data[0] == 5)
        check_counter(body);
    else if (!state_value_decode(body, &found, &value))
        (void)!state_counts_decode(body, &exceeded, windows, data[0] % (STATE_WINDOW_LIMIT + 1));
    arena_free(arena);
    return 0;
}
