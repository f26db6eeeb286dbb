/* SPDX-License-Identifier: ISC */
/* What keys reads from tables that postmap -F built: all entries of whole files, no entry beyond the end of damaged ones. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/table/indexed_file.h"
#include "keys/keys.h"

static char directory[] = "/tmp/posthorn-built-XXXXXX";

struct entries {
    unsigned count, given, total_bytes;
    char key[64];
    struct str value;
    unsigned size; /* entries to make */
};

/* Values of all lengths: within a page, and on pages of their own. */
static unsigned value_length(unsigned number)
{
    return number % 50 == 0 ? 5000 + number : number * 7 % 300;
}

static bool next_entry(void *context, struct slice *key, struct slice *value)
{
    struct entries *entries = context;
    if (entries->given == entries->size)
        return false;
    unsigned number = entries->given++;
    snprintf(entries->key, sizeof entries->key, "host%u.example.test", number);
    str_clear(&entries->value);
    for (unsigned i = 0; i < value_length(number); i++)
        str_append_char(&entries->value, (char)('a' + (number + i) % 26));
    str_append_char(&entries->value, '\0'); /* postmap -N counts it */
    *key = slice_of(entries->key);
    *value = slice_range(entries->value.data, entries->value.len - 1);
    return true;
}

static void check_entry(void *context, struct slice key, struct slice value)
{
    struct entries *entries = context;
    char *name = mem_strndup(key.data, key.len), *end;
    unsigned long number = strtoul(name + 4, &end, 10);
    assert_true(number < entries->size && strcmp(end, ".example.test") == 0);
    assert_int_equal(value.len, value_length((unsigned)number));
    for (size_t i = 0; i < value.len; i++)
        assert_int_equal(value.data[i], 'a' + (number + i) % 26);
    entries->count++;
    free(name);
}

/* Reads every byte, so that a sanitizer sees one too many. */
static void touch_entry(void *context, struct slice key, struct slice value)
{
    struct entries *entries = context;
    for (size_t i = 0; i < key.len; i++)
        entries->total_bytes += (unsigned char)key.data[i];
    for (size_t i = 0; i < value.len; i++)
        entries->total_bytes += (unsigned char)value.data[i];
    entries->count++;
}

static struct str make_file(const struct indexed_format *format, unsigned size, bool with_nul)
{
    struct entries entries = {.size = size};
    char *path = mem_printf("%s/table%s", directory, format->suffix), *error = NULL;
    struct indexed_build build = {.path = path, .mode = 0600, .owner = (uid_t)-1, .include_nul = with_nul, .next = next_entry,
                                  .context = &entries};
    struct str bytes = STR_EMPTY;
    struct stat info;
    assert_true(indexed_file_build(format, &build, &error));
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    str_reserve(&bytes, (size_t)info.st_size);
    assert_int_equal(read(fd, bytes.data, (size_t)info.st_size), info.st_size);
    bytes.len = (size_t)info.st_size;
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    free(path);
    str_free(&entries.value);
    return bytes;
}

static const struct indexed_format *const formats[] = {
    &indexed_lmdb,
#ifdef HAVE_CDB
    &indexed_cdb,
#endif
};
#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

static void test_whole_tables(void **state UNUSED)
{
    static const unsigned sizes[] = {0, 1, 2, 100, 3000};
    for (size_t f = 0; f < FORMAT_COUNT; f++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (int with_nul = 0; with_nul < 2; with_nul++) {
                struct str bytes = make_file(formats[f], sizes[s], with_nul);
                struct entries entries = {.size = sizes[s]};
                assert_true(built_table_walk(str_slice(&bytes), check_entry, &entries));
                assert_int_equal(entries.count, sizes[s]);
                str_free(&bytes);
            }
}

/* Copies of their own length, so that a sanitizer sees a read behind the end. */
static bool walk_copy(const struct str *bytes, size_t len, size_t flipped, struct entries *entries)
{
    char *copy = mem_strndup(bytes->data, len);
    copy = mem_realloc_array(copy, len + (len == 0), 1);
    if (flipped < len)
        copy[flipped] = (char)(copy[flipped] ^ 0xff);
    *entries = (struct entries){0};
    bool good = built_table_walk(slice_range(copy, len), touch_entry, entries);
    free(copy);
    return good;
}

static void test_damaged_tables(void **state UNUSED)
{
    struct entries entries;
    for (size_t f = 0; f < FORMAT_COUNT; f++) {
        struct str bytes = make_file(formats[f], 60, false);
        size_t bad = 0;
        for (size_t len = 0; len < bytes.len; len += 1 + len / 40) /* cut off: never taken for whole */
            if (formats[f] == &indexed_lmdb)
                assert_false(walk_copy(&bytes, len, SIZE_MAX, &entries));
            else
                bad += !walk_copy(&bytes, len, SIZE_MAX, &entries);
        for (size_t at = 0; at < bytes.len; at += 1 + at / 300) {
            (void)walk_copy(&bytes, bytes.len, at, &entries);
            assert_true(entries.count <= 100000);
        }
        assert_true(formats[f] == &indexed_lmdb || bad > 10);
        str_free(&bytes);
    }
    assert_false(built_table_walk(SLICE("name  /key, /certificate\n"), touch_entry, &entries));
    assert_false(built_table_walk(SLICE(""), touch_entry, &entries));
}

static int set_up(void **state UNUSED)
{
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_tables), cmocka_unit_test(test_damaged_tables)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
