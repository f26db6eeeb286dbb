/* SPDX-License-Identifier: ISC */
/* Who may try to log in when: a guesser alone, in parallel, from everywhere; and those whom all that must not lock out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/state/local_memory.h"
#include "common/state/turnstile.h"

static const struct turnstile_memory memory = {.get = local_memory_get, .put = local_memory_put};
static int64_t now_ms;
static struct turn_question question;

/* Each test has its own names, so that none sees another's entries. */
static struct turn take(const char *source, const char *subject)
{
    question = (struct turn_question){.store = (char *)"login", .source = (char *)(uintptr_t)source,
                                      .subject = (char *)(uintptr_t)subject, .first_ms = 1000, .longest_ms = 16000, .window_s = 600};
    assert_true(turn_question_is_valid(&question));
    struct turn turn = turnstile_take(&memory, &question, now_ms);
    question.is_known = turn.is_known;
    return turn;
}

static void settle(enum turn_outcome outcome)
{
    question.outcome = (uint8_t)outcome;
    turnstile_settle(&memory, &question, now_ms);
}

/* Attempts that fail at once; the wait of the last. */
static uint32_t guess(const char *source, const char *subject, unsigned times)
{
    struct turn turn = {0};
    for (unsigned i = 0; i < times; i++) {
        turn = take(source, subject);
        assert_int_equal(turn.refused_by, TURN_GRANTED);
        now_ms += turn.wait_ms;
        settle(TURN_FAILED);
    }
    return turn.wait_ms;
}

static void test_distances_grow_and_end(void **state UNUSED)
{
    static const struct { uint32_t failures, distance; } cases[] = {
        {0, 0}, {2, 0}, {3, 1000}, {4, 2000}, {5, 4000}, {6, 8000}, {7, 16000}, {8, 16000}, {UINT32_MAX, 16000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(turnstile_distance(cases[i].failures, 1000, 16000), cases[i].distance);
    assert_int_equal(turnstile_distance(100, 0, 16000), 0);
    assert_int_equal(turnstile_distance(100, 30000, 16000), 16000);
    assert_int_equal(turnstile_distance(100, 1000, 0), 0);
}

static void test_one_after_the_other(void **state UNUSED)
{
    static const uint32_t waits[] = {0, 0, 0, 1000, 2000, 4000, 8000, 16000, 16000};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        assert_int_equal(guess("192.0.2.1", "one", 1), waits[i]);
    now_ms += 7000; /* whoever takes his time has waited already */
    assert_int_equal(guess("192.0.2.1", "one", 1), 9000);
    now_ms += 21 * 60 * 1000;
    assert_int_equal(guess("192.0.2.1", "one", 3), 0);
}

static void test_every_login_from_one_address(void **state UNUSED)
{
    assert_int_equal(guess("192.0.2.2", "a", 1) + guess("192.0.2.2", "b", 1) + guess("192.0.2.2", "", 1), 0);
    assert_int_equal(guess("192.0.2.2", "d", 1), 1000);
}

static void test_fifty_at_once(void **state UNUSED)
{
    static const uint32_t waits[] = {0, 1000, 3000, 7000, 15000};
    unsigned free_of_charge = 0, granted = 0;
    for (unsigned i = 0; i < 50; i++) { /* before any has failed */
        struct turn turn = take("192.0.2.3", "fifty");
        free_of_charge += turn.refused_by == TURN_GRANTED && turn.wait_ms == 0;
        granted += turn.refused_by == TURN_GRANTED;
    }
    assert_in_range(free_of_charge, TURNSTILE_PARALLEL, TURNSTILE_PARALLEL + TURNSTILE_FREE + 1);
    assert_in_range(granted, free_of_charge, free_of_charge + 5);
    now_ms += 60 * 1000;
    for (unsigned i = 0; i < granted; i++)
        settle(TURN_FAILED);
    now_ms += 20 * 1000;
    for (unsigned i = 0; i < 50; i++) { /* and again, when it is known what they are */
        struct turn turn = take("192.0.2.3", "fifty");
        assert_int_equal(turn.refused_by, i < 2 ? TURN_GRANTED : TURN_SOURCE);
        if (i < 2)
            assert_int_equal(turn.wait_ms, i * 16000);
    }
    guess("192.0.2.4", "other", 3); /* a few failures */
    now_ms += 1000;
    for (unsigned i = 0; i < 6; i++) {
        struct turn turn = take("192.0.2.4", "other");
        assert_int_equal(turn.refused_by, i < 5 ? TURN_GRANTED : TURN_SOURCE);
        if (i < 5)
            assert_int_equal(turn.wait_ms, waits[i]);
    }
}

static void test_guesses_from_everywhere_at_one_login(void **state UNUSED)
{
    char source[32];
    unsigned granted = 0;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(source, sizeof source, "198.51.100.%u", i);
        guess(source, "", 3);
        guess(source, "victim", 1); /* each is slowed by what the others did */
    }
    now_ms += 20 * 1000;
    for (unsigned i = 0; i < 20; i++) { /* all are known for failures now: one line */
        snprintf(source, sizeof source, "198.51.100.%u", i);
        granted += take(source, "victim").refused_by == TURN_GRANTED;
    }
    assert_in_range(granted, 1, 2);
    struct turn turn = take("203.0.113.1", "victim"); /* the victim, from a new place: late, but not refused */
    assert_int_equal(turn.refused_by, TURN_GRANTED);
    assert_in_range(turn.wait_ms, 1, 16000);
    now_ms += turn.wait_ms;
    settle(TURN_SUCCEEDED);
    for (unsigned i = 0; i < 5; i++) { /* and from then on at home there */
        turn = take("203.0.113.1", "victim");
        assert_true(turn.is_known && turn.refused_by == TURN_GRANTED && turn.wait_ms == 0);
        settle(TURN_SUCCEEDED);
    }
    turn = take("203.0.113.2", "victim"); /* his neighbour is not */
    assert_true(!turn.is_known && turn.wait_ms > 0);
}

static void test_known_ones_are_judged_alone(void **state UNUSED)
{
    (void)take("192.0.2.5", "home");
    settle(TURN_SUCCEEDED);
    guess("192.0.2.5", "somebody else", 8); /* a guesser behind the same address, with the same name, too */
    assert_int_equal(take("192.0.2.5", "home").wait_ms, 0);
    settle(TURN_GIVEN_UP);
    assert_int_equal(guess("192.0.2.5", "home", 3), 0);
    assert_int_equal(guess("192.0.2.5", "home", 1), 1000);
    assert_int_equal(guess("192.0.2.5", "home", 1), 2000);
    struct turn turn = take("192.0.2.5", "home");
    now_ms += turn.wait_ms;
    settle(TURN_SUCCEEDED);
    assert_int_equal(take("192.0.2.5", "home").wait_ms, 0); /* and nobody waits who knows the password */
    settle(TURN_SUCCEEDED);
    assert_int_equal(take("192.0.2.5", "home").wait_ms, 0);
    settle(TURN_FAILED);
    assert_in_range(take("192.0.2.5", "home").wait_ms, 1, 16000);
    settle(TURN_GIVEN_UP);
    now_ms += 31LL * 86400 * 1000; /* nobody is remembered for ever */
    assert_true(take("192.0.2.5", "home").is_known); /* this memory's clock stands still: entries end by it */
}

static void test_own_success_buys_no_guesses(void **state UNUSED)
{
    uint32_t waits = 0;
    for (unsigned i = 0; i < 6; i++) {
        waits += guess("192.0.2.6", "target", 1);
        struct turn turn = take("192.0.2.6", i == 0 ? "mine" : "mine too"); /* known from the second time on */
        now_ms += turn.wait_ms;
        settle(TURN_SUCCEEDED);
    }
    assert_in_range(waits, 1000 + 2000 + 4000 - 2000, 60000);
}

static void test_given_up_and_unavailable_cost_nothing(void **state UNUSED)
{
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(take("192.0.2.7", "patient").wait_ms, 0);
        settle(TURN_GIVEN_UP);
    }
    for (unsigned i = 0; i < TURNSTILE_PARALLEL + TURNSTILE_FREE + 1; i++) /* a process that died settled nothing */
        (void)take("192.0.2.7", "patient");
    assert_true(take("192.0.2.7", "patient").wait_ms > 0);
    now_ms += 10 * 60 * 1000;
    assert_int_equal(take("192.0.2.7", "patient").wait_ms, 0);
}

static void test_a_clock_that_was_set_back(void **state UNUSED)
{
    guess("192.0.2.8", "clock", 8);
    now_ms -= 86400 * 1000;
    struct turn turn = take("192.0.2.8", "clock");
    assert_true(turn.refused_by == TURN_GRANTED && turn.wait_ms <= 16000);
}

static void test_what_is_no_entry_counts_as_none(void **state UNUSED)
{
    static const struct slice values[] = {{"", 0}, {"\1", 1}, {"\2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 37}, {"\1\0\0\0\0\0\0\0\0\0\0\0\0", 13}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        local_memory_put("login", "s:192.0.2.9", values[i], now_ms + 60000);
        assert_int_equal(take("192.0.2.9", "").wait_ms, 0);
    }
}

static void test_memory_is_bounded(void **state UNUSED)
{
    struct slice value;
    char key[32];
    for (unsigned i = 0; i <= LOCAL_MEMORY_LIMIT; i++) {
        snprintf(key, sizeof key, "k%u", i);
        local_memory_put("bound", key, SLICE("v"), INT64_MAX);
    }
    assert_false(local_memory_get("bound", "k0", &value));
    assert_true(local_memory_get("bound", "k1", &value) && slice_equal(value, SLICE("v")));
    local_memory_put("bound", "k1", SLICE("w"), 0);
    assert_false(local_memory_get("bound", "k1", &value)); /* expired */
}

static void test_questions_survive_their_encoding(void **state UNUSED)
{
    static const struct turn_question bad[] = {
        {.store = (char *)"Login", .source = (char *)"s", .subject = (char *)"", .window_s = 1},
        {.store = (char *)"login", .source = (char *)"", .subject = (char *)"", .window_s = 1},
        {.store = (char *)"login", .source = (char *)"s", .subject = (char *)"", .window_s = 0},
        {.store = (char *)"login", .source = (char *)"s", .subject = (char *)"", .window_s = 1, .outcome = 3},
        {.store = (char *)"login", .source = (char *)"s", .subject = (char *)"", .window_s = 1, .longest_ms = TURN_LONGEST_MS + 1},
    };
    struct arena *arena = arena_new();
    struct str body = STR_EMPTY;
    struct turn_question got;
    (void)take("192.0.2.10", "x");
    turn_question_encode(&question, &body);
    assert_true(turn_question_decode(str_slice(&body), arena, &got));
    assert_string_equal(got.source, "192.0.2.10");
    assert_int_equal(got.longest_ms, 16000);
    for (size_t len = 0; len < body.len; len++)
        assert_false(turn_question_decode(slice_range(body.data, len), arena, &got));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        str_clear(&body);
        turn_question_encode(&bad[i], &body);
        assert_false(turn_question_decode(str_slice(&body), arena, &got));
    }
    struct turn turn = {.refused_by = TURN_SUBJECT, .is_known = true, .wait_ms = 7}, again;
    str_clear(&body);
    turn_encode(&turn, &body);
    assert_true(turn_decode(str_slice(&body), &again));
    assert_true(again.refused_by == TURN_SUBJECT && again.is_known && again.wait_ms == 7);
    assert_false(turn_decode(slice_range(body.data, body.len - 1), &again));
    str_free(&body);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distances_grow_and_end),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_every_login_from_one_address),
        cmocka_unit_test(test_fifty_at_once),
        cmocka_unit_test(test_guesses_from_everywhere_at_one_login),
        cmocka_unit_test(test_known_ones_are_judged_alone),
        cmocka_unit_test(test_own_success_buys_no_guesses),
        cmocka_unit_test(test_given_up_and_unavailable_cost_nothing),
        cmocka_unit_test(test_a_clock_that_was_set_back),
        cmocka_unit_test(test_what_is_no_entry_counts_as_none),
        cmocka_unit_test(test_questions_survive_their_encoding),
        cmocka_unit_test(test_memory_is_bounded),
    };
    now_ms = wall_us() / 1000;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
