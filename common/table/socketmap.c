/* SPDX-License-Identifier: ISC */
/*
 * socketmap:inet:host:port:name and socketmap:unix:path:name -- a server that is asked "name key" in netstrings;
 * socketmap_table(5). A server that is away, slow, or talks nonsense makes the lookup fail.
 */
#include "common/table/socketmap.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/table_server.h"
#include "common/table/table_types.h"

#define SOCKETMAP_TIMEOUT 100 /* seconds, as in Postfix */

struct socketmap {
    struct table_server *server;
    char *spec, *name;
    size_t max_query, max_reply;
};

/* --- the protocol ---------------------------------------------------------------------------- */

enum netstring_status netstring_parse(struct slice text, size_t max, struct slice *data, size_t *used)
{
    size_t len = 0, digits = 0;
    while (digits < text.len && text_is_digit(text.data[digits])) {
        len = len * 10 + (size_t)(text.data[digits] - '0');
        digits++;
        if (len > max || digits > 10)
            return NETSTRING_TOO_LONG;
    }
    if (digits == text.len)
        return NETSTRING_MORE;
    if (digits == 0 || text.data[digits] != ':')
        return NETSTRING_MALFORMED;
    if (text.len < digits + len + 2)
        return NETSTRING_MORE;
    if (text.data[digits + 1 + len] != ',')
        return NETSTRING_MALFORMED;
    *data = slice_range(text.data + digits + 1, len);
    *used = digits + len + 2;
    return NETSTRING_WHOLE;
}

enum server_reply socketmap_reply_parse(struct slice reply, struct slice *rest)
{
    static const struct {
        const char *word;
        enum server_reply meaning;
    } words[] = {
        {"OK", REPLY_FOUND}, {"NOTFOUND", REPLY_NOT_FOUND}, {"TEMP", REPLY_TEMPORARY},
        {"TIMEOUT", REPLY_TIMEOUT}, {"PERM", REPLY_PERMANENT},
    };
    const char *blank = reply.len > 0 ? memchr(reply.data, ' ', reply.len) : NULL;
    struct slice word = slice_range(reply.data, blank != NULL ? (size_t)(blank - reply.data) : reply.len);
    *rest = slice_skip(reply, blank != NULL ? word.len + 1 : reply.len);
    if (rest->len > 0 && memchr(rest->data, '\0', rest->len) != NULL)
        return REPLY_MALFORMED;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (slice_equal(word, slice_of(words[i].word)))
            return words[i].meaning;
    return REPLY_MALFORMED;
}

/* --- a lookup ---------------------------------------------------------------------------------- */

struct socketmap_answer {
    struct str bytes;
    struct slice data; /* in bytes */
    size_t max;
};

static enum io_status read_answer(struct stream *stream, void *context, int64_t deadline)
{
    struct socketmap_answer *answer = context;
    str_clear(&answer->bytes);
    for (;;) {
        size_t used;
        enum io_status status = stream_fill(stream, deadline);
        if (status != IO_OK)
            return status;
        struct slice more = stream_buffered(stream);
        str_append_slice(&answer->bytes, more);
        stream_consume(stream, more.len);
        switch (netstring_parse(str_slice(&answer->bytes), answer->max, &answer->data, &used)) {
        case NETSTRING_MORE: continue;
        case NETSTRING_TOO_LONG: return IO_TOO_LONG;
        case NETSTRING_WHOLE: return used == answer->bytes.len ? IO_OK : IO_ERROR;
        default: return IO_ERROR;
        }
    }
}

static void explain(const struct socketmap *table, enum server_reply meaning, struct slice reason, char **error)
{
    const char *kind = meaning == REPLY_TEMPORARY   ? "temporary error"
                       : meaning == REPLY_TIMEOUT   ? "timeout error"
                       : meaning == REPLY_PERMANENT ? "permanent error"
                                                    : "malformed reply";
    char text[201];
    size_t len = reason.len < sizeof text ? reason.len : sizeof text - 1;
    if (len > 0)
        memcpy(text, reason.data, len);
    text[len] = '\0';
    text_make_printable(text, len);
    *error = mem_printf("socketmap:%s socketmap server %s%s%s", table->spec, kind, len > 0 ? ": " : "", text);
}

static int64_t bounded(int64_t deadline)
{
    int64_t own = deadline_in_s(SOCKETMAP_TIMEOUT);
    return own < deadline ? own : deadline;
}

static enum table_status socketmap_find(void *data, struct slice key, struct str *value, char **error,
                                        int64_t deadline)
{
    struct socketmap *table = data;
    struct socketmap_answer answer = {.bytes = STR_EMPTY, .max = table->max_reply};
    struct slice rest;
    size_t len = strlen(table->name) + 1 + key.len;
    if (len > table->max_query) {
        *error = mem_printf("socketmap:%s: a query of %zu bytes is longer than socketmap_max_query_size", table->spec,
                            len);
        return TABLE_ERROR;
    }
    struct str query = STR_EMPTY;
    str_printf(&query, "%zu:%s ", len, table->name);
    str_append_slice(&query, key);
    str_append_char(&query, ',');
    enum table_status status = TABLE_ERROR;
    if (table_server_ask(table->server, str_slice(&query), read_answer, &answer, error, bounded(deadline))) {
        enum server_reply meaning = socketmap_reply_parse(answer.data, &rest);
        if (meaning == REPLY_FOUND) {
            str_append_slice(value, rest);
            status = TABLE_FOUND;
        } else if (meaning == REPLY_NOT_FOUND) {
            status = TABLE_NOT_FOUND;
        } else {
            explain(table, meaning, meaning == REPLY_MALFORMED ? answer.data : rest, error);
        }
    }
    str_free(&query);
    str_free(&answer.bytes);
    return status;
}

/* --- opening -------------------------------------------------------------------------------------- */

static void socketmap_close(void *data)
{
    struct socketmap *table = data;
    table_server_close(table->server);
    free(table->spec);
    free(table->name);
    free(table);
}

static void *socketmap_open(const char *name, const struct config *config, unsigned flags UNUSED, char **error)
{
    const char *colon = strrchr(name, ':'), *first = strchr(name, ':');
    if (colon == NULL || colon == first || colon[1] == '\0') {
        *error = mem_printf("socketmap:%s requires server:socketmap argument", name);
        return NULL;
    }
    char *endpoint = mem_strndup(name, (size_t)(colon - name));
    struct table_server *server = table_server_open(endpoint, config, error);
    free(endpoint);
    if (server == NULL)
        return NULL;
    struct socketmap *table = mem_alloc(sizeof *table);
    table->server = server;
    table->spec = mem_strdup(name);
    table->name = mem_strdup(colon + 1);
    table->max_query = (size_t)config_int(config, "socketmap_max_query_size");
    table->max_reply = (size_t)config_int(config, "socketmap_max_reply_size");
    return table;
}

const struct table_type table_socketmap = {
    .name = "socketmap", .pattern = true, .waits = true, .open = socketmap_open, .close = socketmap_close,
    .find = socketmap_find,
};
