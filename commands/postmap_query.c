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
    unsigned flags = (options->fold ? TABLE_FOLD_KEY : 0) | (options->rhs_is_file ? TABLE_SRC_RHS_IS_FILE : 0) |
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

struct key_reader {
    const struct postmap *options;
    char *line;
    size_t size;
    struct str next; /* a header line that may go on */
    bool in_body, started, ended;
};

static bool read_line(struct key_reader *reader, struct slice *line)
{
    ssize_t len = getline(&reader->line, &reader->size, stdin);
    if (len < 0) {
        if (ferror(stdin))
            log_fatal("read standard input: %s", strerror(errno));
        return false;
    }
    if (len > 0 && reader->line[len - 1] == '\n')
        len--;
    *line = slice_range(reader->line, (size_t)len);
    return true;
}

static bool is_header_start(struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] > ' ' && line.data[len] < 127 && line.data[len] != ':')
        len++;
    while (len < line.len && (line.data[len] == ' ' || line.data[len] == '\t'))
        len++;
    return len > 0 && len < line.len && line.data[len] == ':';
}

/* One logical header line, its lines joined by newlines. False at the end of the header. */
static bool next_header(struct key_reader *reader, struct str *key)
{
    struct slice line;
    str_clear(key);
    if (reader->next.len > 0) {
        str_append_slice(key, str_slice(&reader->next));
        str_clear(&reader->next);
    }
    while (!reader->in_body && read_line(reader, &line)) {
        if (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t') && key->len > 0) {
            str_append_char(key, '\n');
            str_append_slice(key, line);
        } else if (!is_header_start(line)) {
            reader->in_body = true;
            str_append_slice(&reader->next, line);
        } else if (key->len > 0) {
            str_append_slice(&reader->next, line);
            return true;
        } else {
            str_append_slice(key, line);
        }
    }
    return key->len > 0;
}

static bool next_body_line(struct key_reader *reader, struct str *key)
{
    struct slice line;
    while (!reader->in_body && next_header(reader, key))
        continue;
    if (!reader->started) {
        reader->started = true;
        str_clear(key);
        str_append_slice(key, str_slice(&reader->next));
        return reader->in_body;
    }
    str_clear(key);
    if (!read_line(reader, &line))
        return false;
    str_append_slice(key, line);
    return true;
}

static bool next_key(struct key_reader *reader, struct str *key)
{
    struct slice line;
    if (reader->options->headers && !reader->ended) {
        if (next_header(reader, key))
            return true;
        reader->ended = true;
    }
    if (reader->options->body)
        return next_body_line(reader, key);
    if (reader->options->headers || !read_line(reader, &line))
        return false;
    str_clear(key);
    str_append_slice(key, line);
    return true;
}

static int query_stdin(const struct postmap *options, struct table **tables, size_t count)
{
    struct key_reader reader = {.options = options, .next = STR_EMPTY};
    struct str key = STR_EMPTY, value = STR_EMPTY;
    bool found_any = false;
    while (next_key(&reader, &key)) {
        for (size_t i = 0; i < count; i++) {
            if (!find(options, tables[i], str_slice(&key), &value))
                continue;
            printf("%s\t%s\n", str_text(&key), str_text(&value));
            found_any = true;
            break;
        }
    }
    free(reader.line);
    str_free(&reader.next);
    str_free(&key);
    str_free(&value);
    return found_any ? 0 : 1;
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
