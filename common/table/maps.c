/* SPDX-License-Identifier: ISC */
/*
 * maps: the tables of one parameter. Called by the address resolver, the lookup role and match lists. The first
 * failing table ends the search with TABLE_ERROR: a later one must not answer in its place.
 */
#include "common/table/maps.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"

struct maps {
    char *title;
    struct table **tables;
    size_t count;
};

struct maps *maps_open(const char *title, const char *text, const struct config *config, unsigned flags)
{
    struct arena *arena = arena_new();
    struct maps *maps = mem_alloc(sizeof *maps);
    char **specs;
    size_t count = config_split_list(text, arena, &specs);
    maps->title = mem_strdup(title);
    maps->tables = mem_alloc_array(count + 1, sizeof *maps->tables);
    for (size_t i = 0; i < count; i++)
        maps->tables[maps->count++] = table_open(specs[i], config, flags);
    arena_free(arena);
    return maps;
}

void maps_close(struct maps *maps)
{
    if (maps == NULL)
        return;
    for (size_t i = 0; i < maps->count; i++)
        table_close(maps->tables[i]);
    free(maps->tables);
    free(maps->title);
    free(maps);
}

bool maps_is_empty(const struct maps *maps)
{
    return maps->count == 0;
}

bool maps_may_wait(const struct maps *maps)
{
    for (size_t i = 0; i < maps->count; i++)
        if (table_may_wait(maps->tables[i]))
            return true;
    return false;
}

const char *maps_title(const struct maps *maps)
{
    return maps->title;
}

enum table_status maps_find(struct maps *maps, struct slice key, bool partial, struct str *value,
                            const char **which, int64_t deadline)
{
    str_clear(value);
    if (which != NULL)
        *which = "";
    if (key.len == 0)
        return TABLE_NOT_FOUND;
    for (size_t i = 0; i < maps->count; i++) {
        struct table *table = maps->tables[i];
        if (partial && table_is_pattern(table))
            continue;
        enum table_status status = table_find(table, key, value, deadline);
        if (status == TABLE_NOT_FOUND)
            continue;
        if (which != NULL)
            *which = table_spec(table);
        if (status == TABLE_FOUND && value->len == 0) {
            log_warning("%s lookup of %.*s returns an empty string result", maps->title, SLICE_ARGS(key));
            log_warning("%s should return NO RESULT in case of NOT FOUND", maps->title);
            return TABLE_ERROR;
        }
        return status;
    }
    return TABLE_NOT_FOUND;
}
