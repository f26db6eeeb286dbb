/* SPDX-License-Identifier: ISC */
/* Questions to the state role, its answers, and counters as they lie in its file. The first byte chooses. */
#include <stdint.h>
#include <string.h>

#include "common/base/log.h"
#include "common/state/counter.h"
#include "common/state/turnstile.h"

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

static struct slice entry; /* what every line of the turnstile is found to hold */

static bool get_entry(const char *store UNUSED, const char *key UNUSED, struct slice *value)
{
    *value = entry;
    return true;
}

static void put_entry(const char *store UNUSED, const char *key, struct slice value, int64_t expires_ms UNUSED)
{
    if (strlen(key) > STATE_KEY_LIMIT || value.len > STATE_VALUE_LIMIT)
        log_panic("an entry out of bounds");
}

static void check_turn(struct slice stored, struct arena *arena)
{
    static const struct turnstile_memory memory = {get_entry, put_entry};
    struct turn_question question = {.store = (char[]){"login"}, .source = (char[]){"s"}, .subject = (char[]){"t"}, .first_ms = 1000,
                                     .longest_ms = 16000, .window_s = 600};
    struct turn_question decoded;
    struct turn turn;
    (void)turn_decode(stored, &turn);
    if (turn_question_decode(stored, arena, &decoded))
        question = decoded;
    entry = stored;
    turn = turnstile_take(&memory, &question, 1000000000000);
    if (turn.wait_ms > question.longest_ms)
        log_panic("a wait out of bounds");
    for (question.outcome = 0; question.outcome <= TURN_SUCCEEDED; question.outcome++)
        turnstile_settle(&memory, &question, 1000000000000);
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
    else if (data[0] == 6)
        check_turn(body, arena);
    else if (!state_value_decode(body, &found, &value))
        (void)!state_counts_decode(body, &exceeded, windows, data[0] % (STATE_WINDOW_LIMIT + 1));
    arena_free(arena);
    return 0;
}
