/* SPDX-License-Identifier: ISC */
/* postmap_query: postmap -q and -s. Lookups block: this is a command, not a daemon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/postmap.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/rhs_file.h"
#include "common/table/utf8.h"

#define QUERY_DEADLINE 60 /* seconds */

/* Also used to say why a table cannot be used, in Postfix's words. */
static struct table *open_or_die(const struct postmap *options, const char *spec)
{
    unsigned flags = TABLE_CALLER_SPEAKS | (options->fold ? TABLE_FOLD_KEY : 0) | (options->rhs_is_file ? TABLE_SRC_RHS_IS_FILE : 0) |
                     (options->aliases ? TABLE_ALIAS_SOURCE : 0);
    struct table *table = table_open(spec, options->config, flags);
    if (table_open_error(table) != NULL)
        log_fatal("%s", table_open_error(table));
    return table;
}

static bool find(const struct postmap *options, struct table *table, struct slice key, struct str *value)
{
    str_clear(value);
    if (options->only_utf8 && !utf8_is_valid(key))
        return false;
    switch (table_find(table, key, value, deadline_in_s(QUERY_DEADLINE))) {
    case TABLE_FOUND:
        break;
    case TABLE_NOT_FOUND:
        return false;
    default:
        log_fatal("table %s: query error: Application error", table_spec(table));
    }
    if (value->len == 0) {
        log_warning("table %s: key %.*s: empty string result is not allowed", table_spec(table), SLICE_ARGS(key));
        log_warning("table %s should return NO RESULT in case of NOT FOUND", table_spec(table));
    }
    return true;
}

/* --- keys from standard input -------------------------------------------------------- */

struct many {
    const struct postmap *options;
    struct table **tables;
    size_t count;
    struct str key, value;
    bool found_any;
};

static void query_key(void *context, struct slice key)
{
    struct many *many = context;
    str_clear(&many->key); /* what looks a key up wants a NUL behind it */
    str_append_slice(&many->key, key);
    for (size_t i = 0; i < many->count; i++) {
        if (find(many->options, many->tables[i], str_slice(&many->key), &many->value)) {
            printf("%s%s\t%s\n", str_text(&many->key), many->options->aliases ? ":" : "", str_text(&many->value));
            many->found_any = true;
            return;
        }
    }
}

static void each_line(void (*use)(void *context, struct slice key), void *context)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    while ((len = getline(&line, &size, stdin)) >= 0)
        use(context, slice_range(line, (size_t)(len > 0 && line[len - 1] == '\n' ? len - 1 : len)));
    if (ferror(stdin))
        log_fatal("read standard input: %s", strerror(errno));
    free(line);
}

static int query_stdin(const struct postmap *options, struct table **tables, size_t count)
{
    struct many many = {.options = options, .tables = tables, .count = count};
    if (options->headers || options->body)
        postmap_each_message_key(options, query_key, &many);
    else
        each_line(query_key, &many);
    str_free(&many.key);
    str_free(&many.value);
    return many.found_any ? 0 : 1;
}

static int query_one(const struct postmap *options, struct table **tables, size_t count)
{
    struct str value = STR_EMPTY;
    int status = 1;
    for (size_t i = 0; i < count && status != 0; i++) {
        if (find(options, tables[i], slice_of(options->query), &value)) {
            printf("%s\n", str_text(&value));
            status = 0;
        }
    }
    str_free(&value);
    return status;
}

int postmap_query(const struct postmap *options, char **specs, size_t count)
{
    struct table **tables = mem_alloc_array(count, sizeof(struct table *));
    bool from_stdin = strcmp(options->query, "-") == 0;
    int status = 1;
    size_t opened = 0;
    if (from_stdin) {
        while (opened < count) {
            tables[opened] = open_or_die(options, specs[opened]);
            opened++;
        }
        status = query_stdin(options, tables, count);
    } else {
        while (opened < count && status != 0) { /* a later table need not exist when an earlier one answers */
            tables[opened] = open_or_die(options, specs[opened]);
            status = query_one(options, tables + opened, 1);
            opened++;
        }
    }
    for (size_t i = 0; i < opened; i++)
        table_close(tables[i]);
    free(tables);
    return status;
}

/* --- listing --------------------------------------------------------------------------- */


static bool print_entry(void *context, struct slice key, struct slice value)
{
    const struct postmap *options = context;
    struct str decoded = STR_EMPTY;
    if (options->rhs_is_file && !rhs_file_decode(value, &decoded))
        log_fatal("key %.*s: malformed BASE64 value", SLICE_ARGS(key));
    if (options->rhs_is_file)
        value = str_slice(&decoded);
    printf("%.*s%s\t%.*s\n", SLICE_ARGS(key), options->aliases ? ":" : "", SLICE_ARGS(value));
    str_free(&decoded);
    return true;
}

int postmap_list(const struct postmap *options, const char *spec)
{
    char *error = NULL;
    struct table *table = open_or_die(options, spec);
    if (!table_walk(table, print_entry, (void *)(uintptr_t)options, &error))
        log_fatal("table %s: %s", spec, error != NULL ? error : "sequence operation is not supported");
    table_close(table);
    return 0;
}
