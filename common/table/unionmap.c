/* SPDX-License-Identifier: ISC */
/*
 * unionmap:{a, b} -- the answers of all tables, joined by commas; pipemap:{a, b} -- the answer of one is the key of the
 * next. Made of other tables; a failing one fails the whole.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/table_types.h"

struct compound {
    struct table **tables;
    size_t count;
};

static void compound_close(void *data)
{
    struct compound *compound = data;
    for (size_t i = 0; i < compound->count; i++)
        table_close(compound->tables[i]);
    free(compound->tables);
    free(compound);
}

static bool items_are_specs(char **items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strchr(items[i], ':') == NULL)
            return false;
    return count > 0;
}

static void *compound_open(const char *kind, const char *name, const struct config *config, unsigned flags,
                           char **error)
{
    struct arena *arena = arena_new();
    struct slice text = slice_trim(slice_of(name));
    struct compound *compound = NULL;
    char **items = NULL;
    size_t count = 0;
    if (text.len >= 2 && text.data[0] == '{' && text.data[text.len - 1] == '}')
        count = config_split_list(arena_strndup(arena, text.data + 1, text.len - 2), arena, &items);
    if (items_are_specs(items, count)) {
        compound = mem_alloc(sizeof *compound);
        compound->tables = mem_alloc_array(count, sizeof *compound->tables);
        for (size_t i = 0; i < count; i++)
            compound->tables[compound->count++] = table_open(items[i], config, flags);
    } else {
        *error = mem_printf("bad syntax: \"%s:%s\"; need \"%s:{type:name...}\"", kind, name, kind);
    }
    arena_free(arena);
    return compound;
}

static void *unionmap_open(const char *name, const struct config *config, unsigned flags, char **error)
{
    return compound_open("unionmap", name, config, flags, error);
}

static void *pipemap_open(const char *name, const struct config *config, unsigned flags, char **error)
{
    return compound_open("pipemap", name, config, flags, error);
}

static bool compound_may_wait(const void *data)
{
    const struct compound *compound = data;
    for (size_t i = 0; i < compound->count; i++)
        if (table_may_wait(compound->tables[i]))
            return true;
    return false;
}

/* One table that wants partial keys is enough to give them to all, as in Postfix. */
static bool compound_is_pattern(const void *data)
{
    const struct compound *compound = data;
    for (size_t i = 0; i < compound->count; i++)
        if (!table_is_pattern(compound->tables[i]))
            return false;
    return true;
}

static enum table_status unionmap_find(void *data, struct slice key, struct str *value, char **error UNUSED,
                                       int64_t deadline)
{
    struct compound *compound = data;
    enum table_status answer = TABLE_NOT_FOUND;
    for (size_t i = 0; i < compound->count; i++) {
        struct str one = STR_EMPTY;
        enum table_status status = table_find(compound->tables[i], key, &one, deadline);
        if (status == TABLE_FOUND) {
            if (answer == TABLE_FOUND)
                str_append_char(value, ',');
            str_append_slice(value, str_slice(&one));
            answer = TABLE_FOUND;
        }
        str_free(&one);
        if (status == TABLE_ERROR)
            return TABLE_ERROR;
    }
    return answer;
}

static enum table_status pipemap_find(void *data, struct slice key, struct str *value, char **error UNUSED,
                                      int64_t deadline)
{
    struct compound *compound = data;
    struct str now = STR_EMPTY;
    enum table_status status = TABLE_FOUND;
    str_append_slice(&now, key);
    for (size_t i = 0; status == TABLE_FOUND && i < compound->count; i++) {
        struct str next = STR_EMPTY;
        status = table_find(compound->tables[i], str_slice(&now), &next, deadline);
        str_free(&now);
        now = next;
    }
    if (status == TABLE_FOUND)
        str_append_slice(value, str_slice(&now));
    str_free(&now);
    return status;
}

const struct table_type table_unionmap = {
    .name = "unionmap", .open = unionmap_open, .close = compound_close, .find = unionmap_find,
    .may_wait = compound_may_wait, .is_pattern = compound_is_pattern, .is_compound = true,
};
const struct table_type table_pipemap = {
    .name = "pipemap", .open = pipemap_open, .close = compound_close, .find = pipemap_find,
    .may_wait = compound_may_wait, .is_pattern = compound_is_pattern, .is_compound = true,
};
