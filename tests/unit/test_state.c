/* SPDX-License-Identifier: ISC */
/* The server's small memory: its records, counters in sliding windows, and the file with all that may happen to it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "common/base/mem.h"
#include "common/state/counter.h"
#include "state/store.h"

/* --- records -------------------------------------------------------------------------------------- */

static void test_questions_survive_their_encoding(void **state UNUSED)
{
    static const struct state_question questions[] = {
        [STATE_GET] = {.store = (char *)"verify", .key = (char *)"anna@example.org"},
        [STATE_PUT] = {.store = (char *)"postscreen", .key = (char *)"192.0.2.1", .value = SLICE("a\0b"), .lifetime_s = 60},
        [STATE_CHARGE] = {.store = (char *)"login", .key = (char *)"anna", .amount = 3, .window_count = 2,
                          .windows = {{.seconds = 60, .limit = 5}, {.seconds = 3600}}},
    };
    struct arena *arena = arena_new();
    for (int type = STATE_GET; type <= STATE_CHARGE; type++) {
        if (questions[type].store == NULL)
            continue;
        struct str body = STR_EMPTY;
        struct state_question got;
        state_question_encode((enum state_record)type, &questions[type], &body);
        assert_true(state_question_decode((enum state_record)type, str_slice(&body), arena, &got));
        assert_string_equal(got.store, questions[type].store);
        assert_string_equal(got.key, questions[type].key);
        assert_true(slice_equal(got.value, questions[type].value));
        assert_int_equal(got.lifetime_s, questions[type].lifetime_s);
        assert_memory_equal(got.windows, questions[type].windows, sizeof got.windows);
        for (size_t len = 0; len < body.len; len++) /* cut off anywhere */
            assert_false(state_question_decode((enum state_record)type, slice_range(body.data, len), arena, &got));
        str_append_char(&body, 'x');
        assert_false(state_question_decode((enum state_record)type, str_slice(&body), arena, &got));
        str_free(&body);
    }
    arena_free(arena);
}

static void test_questions_out_of_bounds_are_refused(void **state UNUSED)
{
    static char long_key[STATE_KEY_LIMIT + 2], long_value[STATE_VALUE_LIMIT + 1];
    memset(long_key, 'k', sizeof long_key - 1);
    const struct {
        enum state_record type;
        struct state_question question;
    } cases[] = {
        {STATE_GET, {.store = (char *)"", .key = (char *)"k"}},
        {STATE_GET, {.store = (char *)"Verify", .key = (char *)"k"}},
        {STATE_GET, {.store = (char *)"../x", .key = (char *)"k"}},
        {STATE_GET, {.store = (char *)"abcdefghijklmnopqrstuvwxy", .key = (char *)"k"}},
        {STATE_GET, {.store = (char *)"s", .key = (char *)""}},
        {STATE_GET, {.store = (char *)"s", .key = long_key}},
        {STATE_PUT, {.store = (char *)"s", .key = (char *)"k", .value = {long_value, sizeof long_value}, .lifetime_s = 1}},
        {STATE_PUT, {.store = (char *)"s", .key = (char *)"k", .value = SLICE("v")}},
        {STATE_CHARGE, {.store = (char *)"s", .key = (char *)"k", .amount = 1}},
        {STATE_CHARGE, {.store = (char *)"s", .key = (char *)"k", .window_count = 1}},
        {STATE_CHARGE, {.store = (char *)"s", .key = (char *)"k", .window_count = 1, .windows = {{.seconds = UINT32_MAX}}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (state_question_is_valid(cases[i].type, &cases[i].question))
            fail_msg("case %zu", i);
}

/* --- counters --------------------------------------------------------------------------------------- */

#define START_MS 1795000000000

static void test_counters_slide(void **state UNUSED)
{
    /* An hour with room for 10: seconds since the start, amount, expected result and count. */
    static const struct { int64_t second; uint32_t amount; unsigned full; uint32_t count; } life[] = {
        {0, 4, 0, 4},     {60, 5, 0, 9},      {120, 2, 1, 9},    {120, 1, 0, 10},   {3500, 1, 1, 10}, {3599, 1, 1, 10},
        {3600, 0, 0, 10}, /* never shorter than the window ... */
        {3700, 4, 0, 10}, /* ... and at most 1/32 longer: the first four went, and four others fit, */
        {3710, 1, 1, 10}, {3780, 6, 0, 10},  {3800, 1, 1, 10}, /* then the five and the one */
        {9000, 0, 0, 0},  {9000, 10, 0, 10},  {9000, 11, 1, 10},
    };
    struct str value = STR_EMPTY;
    for (size_t i = 0; i < sizeof life / sizeof life[0]; i++) {
        struct state_window window = {.seconds = 3600, .limit = 10};
        struct str next = STR_EMPTY;
        int64_t now = START_MS + life[i].second * 1000, expires = 0;
        unsigned full = counter_charge(str_slice(&value), now, life[i].amount, &window, 1, &next, &expires);
        if (full != life[i].full || window.count != life[i].count)
            fail_msg("step %zu: full %u, count %u", i, full, window.count);
        if (next.len > 0) {
            assert_in_range(expires - now, 3600 * 1000, 3600 * 1000 * 34 / 32);
            str_free(&value);
            value = next;
        }
    }
    str_free(&value);
}

/* Whatever the rhythm, no hour holds more than the limit. */
static void test_no_window_ever_holds_more_than_its_limit(void **state UNUSED)
{
    static int64_t taken[5000];
    size_t count = 0;
    struct str value = STR_EMPTY;
    unsigned random = 7;
    int64_t now = START_MS;
    for (int i = 0; i < 5000; i++) {
        struct state_window window = {.seconds = 3600, .limit = 20};
        struct str next = STR_EMPTY;
        int64_t expires;
        random = random * 1103515245 + 12345;
        now += (random >> 16) % 200000;
        if (counter_charge(str_slice(&value), now, 1, &window, 1, &next, &expires) == 0)
            taken[count++] = now;
        if (next.len > 0) {
            str_free(&value);
            value = next;
        }
    }
    assert_true(count > 700);
    for (size_t i = 20; i < count; i++)
        assert_true(taken[i] - taken[i - 20] > 3600 * 1000);
    str_free(&value);
}

static unsigned charge(struct str *value, int64_t now, uint32_t amount, struct state_window *windows, unsigned count)
{
    struct str next = STR_EMPTY;
    int64_t expires;
    unsigned full = counter_charge(str_slice(value), now, amount, windows, count, &next, &expires);
    if (next.len > 0) {
        str_free(value);
        *value = next;
    }
    return full;
}

static void test_several_windows(void **state UNUSED)
{
    struct str value = STR_EMPTY;
    struct state_window both[] = {{.seconds = 60, .limit = 3}, {.seconds = 86400, .limit = 5}};
    assert_int_equal(charge(&value, START_MS, 3, both, 2), 0);
    assert_int_equal(charge(&value, START_MS, 1, both, 2), 1);
    assert_int_equal(both[1].count, 3); /* nothing was added to either */
    assert_int_equal(charge(&value, START_MS + 100000, 2, both, 2), 0);
    assert_int_equal(charge(&value, START_MS + 200000, 1, both, 2), 2);
    /* Somebody who asks about one window only does not make the other forget. */
    struct state_window one = {.seconds = 60, .limit = 0};
    assert_int_equal(charge(&value, START_MS + 200000, 1000, &one, 1), 0);
    assert_int_equal(charge(&value, START_MS + 200000, 0, both, 2), 1);
    assert_int_equal(both[1].count, 5);
    str_free(&value);
}

static void test_clocks_and_nonsense(void **state UNUSED)
{
    struct str value = STR_EMPTY;
    struct state_window window = {.seconds = 60, .limit = 3};
    assert_int_equal(charge(&value, START_MS, 3, &window, 1), 0);
    assert_int_equal(charge(&value, START_MS - 10000, 1, &window, 1), 1); /* set back a little */
    assert_int_equal(charge(&value, START_MS - 86400000, 1, &window, 1), 0); /* set back by far */
    assert_int_equal(charge(&value, START_MS + 86400000, 3, &window, 1), 0);
    str_clear(&value);
    str_append(&value, "this is no counter");
    assert_int_equal(charge(&value, START_MS, 3, &window, 1), 0);
    assert_int_equal(window.count, 3);
    window.limit = 0;
    assert_int_equal(charge(&value, START_MS, UINT32_MAX, &window, 1), 0);
    assert_int_equal(window.count, UINT32_MAX); /* no overflow */
    str_free(&value);
}

/* --- the file ------------------------------------------------------------------------------------------ */

static char *directory, *path;

static int set_up(void **state UNUSED)
{
    directory = mem_strdup("/tmp/posthorn-state.XXXXXX");
    assert_non_null(mkdtemp(directory));
    path = mem_printf("%s/state.mdb", directory);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    (void)unlink(path);
    (void)rmdir(directory);
    free(directory);
    free(path);
    return 0;
}

static struct store *open_good(void)
{
    struct store *store;
    assert_int_equal(store_open(path, &store), STORE_OK);
    return store;
}

static void put(struct store *store, const char *name, const char *key, const char *value, int64_t expires)
{
    assert_int_equal(store_put(store, name, key, slice_of(value), expires), STORE_OK);
}

/* "" when it is not found. */
static char *get(struct store *store, const char *name, const char *key, int64_t now)
{
    struct slice value = SLICE("");
    (void)!store_get(store, name, key, now, &value);
    return mem_strndup(value.data, value.len);
}

static void expect(struct store *store, const char *name, const char *key, int64_t now, const char *value)
{
    char *got = get(store, name, key, now);
    assert_string_equal(got, value);
    free(got);
}

static void test_store_keeps_what_was_committed(void **state UNUSED)
{
    struct store *store = open_good();
    put(store, "verify", "anna", "yes", 1000);
    put(store, "verify", "anna", "no", 2000);
    put(store, "postscreen", "anna", "else", 1000);
    expect(store, "verify", "anna", 0, "no"); /* before the commit, too */
    assert_int_equal(store_commit(store, 0), STORE_OK);
    assert_int_equal(store_pending(store), 0);
    put(store, "verify", "late", "lost", 1000);
    store_close(store); /* without commit */
    store = open_good();
    expect(store, "verify", "anna", 999, "no");
    expect(store, "verify", "anna", 2000, ""); /* expired */
    expect(store, "postscreen", "anna", 999, "else");
    expect(store, "verify", "late", 0, "");
    assert_int_equal(store_count(store, "verify", NULL), 1);
    store_close(store);
}

static void test_expired_entries_are_removed(void **state UNUSED)
{
    struct store *store = open_good();
    char key[32];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        put(store, "verify", key, "value", i < 2500 ? 100 : 10000);
    }
    assert_int_equal(store_commit(store, 50), STORE_OK);
    assert_int_equal(store_count(store, "verify", NULL), 3000);
    for (int i = 0; i < 4; i++) {
        put(store, "verify", "key-2999", "value", 10000);
        assert_int_equal(store_commit(store, 200), STORE_OK);
    }
    assert_int_equal(store_count(store, "verify", NULL), 500);
    store_close(store);
}

static void test_store_never_grows_beyond_its_bound(void **state UNUSED)
{
    struct store *store = open_good();
    char key[32];
    size_t bytes, limit = store_bytes_limit;
    struct stat file;
    store_bytes_limit = 200 * 1000;
    put(store, "other", "stays", "here", 1);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        put(store, "verify", key, "some value or other", 1000 + i % 5000);
        (void)store_count(store, "verify", &bytes);
        assert_true(bytes <= store_bytes_limit);
        if (i % 500 == 0)
            assert_int_equal(store_commit(store, 0), STORE_OK);
    }
    assert_int_equal(store_commit(store, 0), STORE_OK);
    size_t count = store_count(store, "verify", NULL);
    assert_in_range(count, 1000, 2000);
    expect(store, "verify", "key-19999", 0, "some value or other"); /* expires last */
    expect(store, "verify", "key-15000", 0, "");                   /* expires first */
    expect(store, "other", "stays", 0, "here");
    assert_int_equal(stat(path, &file), 0);
    assert_true(file.st_size < 4 * 1000 * 1000);
    store_close(store);
    store = open_good();
    assert_int_equal(store_count(store, "verify", NULL), count);
    store_bytes_limit = limit;
    store_close(store);
}

static void test_too_many_stores(void **state UNUSED)
{
    struct store *store = open_good();
    char name[16];
    for (int i = 0; i < STORE_COUNT_LIMIT; i++) {
        snprintf(name, sizeof name, "store-%d", i);
        put(store, name, "k", "v", 1000);
    }
    assert_int_equal(store_put(store, "one-more", "k", SLICE("v"), 1000), STORE_NOT_FOUND);
    expect(store, "store-15", "k", 0, "v");
    store_close(store);
}

static void fill(void)
{
    char key[32];
    struct store *store = open_good();
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        put(store, i % 2 == 0 ? "verify" : "login", key, "some value or other", 1000 + i % 777);
    }
    assert_int_equal(store_commit(store, 0), STORE_OK);
    store_close(store);
}

static void overwrite(off_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    assert_int_equal(close(fd), 0);
}

static void test_damaged_files_are_noticed(void **state UNUSED)
{
    static const char zeros[65536];
    struct store *store;
    overwrite(0, "this is no database, but it is long enough to look like one", 60);
    assert_int_equal(truncate(path, 20000), 0);
    assert_int_equal(store_open(path, &store), STORE_DAMAGED);
    assert_null(store);
    assert_true(*store_error() != '\0');
    assert_int_equal(unlink(path), 0);
    fill();
    assert_int_equal(truncate(path, 100000), 0); /* pages that are used are gone: an error, no SIGBUS */
    assert_int_equal(store_open(path, &store), STORE_DAMAGED);
    assert_int_equal(unlink(path), 0);
    fill();
    for (off_t at = 8192; at < 1000000; at += 65536)
        overwrite(at, zeros, sizeof zeros);
    assert_int_equal(store_open(path, &store), STORE_DAMAGED);
    assert_int_equal(truncate(path, 0), 0); /* an empty file is a new one */
    assert_int_equal(store_open(path, &store), STORE_OK);
    store_close(store);
}

/* The tables contradict each other, though LMDB finds nothing wrong: a value cut short, an age without an entry. */
static void test_contradictions_are_noticed(void **state UNUSED)
{
    fill();
    for (int i = 0; i < 2; i++) {
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;
        MDB_val key = {10, (void *)(uintptr_t)"verify\0x-1"}, value = {4, (void *)(uintptr_t)"abcd"};
        struct store *store;
        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
        assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, i == 0 ? "entries" : "ages", 0, &dbi), 0);
        assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        mdb_env_close(env);
        assert_int_equal(store_open(path, &store), STORE_DAMAGED);
        assert_int_equal(unlink(path), 0);
        fill();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions_survive_their_encoding),
        cmocka_unit_test(test_questions_out_of_bounds_are_refused),
        cmocka_unit_test(test_counters_slide),
        cmocka_unit_test(test_no_window_ever_holds_more_than_its_limit),
        cmocka_unit_test(test_several_windows),
        cmocka_unit_test(test_clocks_and_nonsense),
        cmocka_unit_test_setup_teardown(test_store_keeps_what_was_committed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expired_entries_are_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_never_grows_beyond_its_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_stores, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_files_are_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_contradictions_are_noticed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
