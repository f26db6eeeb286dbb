/* SPDX-License-Identifier: ISC */
/* text_map: a hash table over one arena. Used by texthash:, inline:, by hash: without its file, and by postmap. */
#include "common/table/text_map.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/table/utf8.h"

struct text_map_entry {
    struct slice key, value;
    UT_hash_handle hh;
};

struct text_map {
    struct arena *arena;
    struct text_map_entry *by_key;
    struct text_map_entry **ordered;
    size_t count, capacity;
};

struct text_map *text_map_new(void)
{
    struct text_map *map = mem_alloc(sizeof *map);
    map->arena = arena_new();
    return map;
}

void text_map_free(struct text_map *map)
{
    if (map == NULL)
        return;
    HASH_CLEAR(hh, map->by_key);
    free(map->ordered);
    arena_free(map->arena);
    free(map);
}

static struct text_map_entry *find_entry(const struct text_map *map, struct slice key)
{
    struct text_map_entry *entry = NULL;
    if (key.len > 0)
        HASH_FIND(hh, map->by_key, key.data, key.len, entry);
    return entry;
}

static struct slice keep(struct text_map *map, struct slice text)
{
    return slice_range(arena_slice(map->arena, text), text.len);
}

bool text_map_add(struct text_map *map, struct slice key, struct slice value, bool replace)
{
    struct text_map_entry *entry = find_entry(map, key);
    if (entry != NULL) {
        if (replace)
            entry->value = keep(map, value);
        return false;
    }
    if (key.len == 0)
        return true; /* no table has an empty key */
    entry = arena_alloc(map->arena, sizeof *entry);
    entry->key = keep(map, key);
    entry->value = keep(map, value);
    HASH_ADD_KEYPTR(hh, map->by_key, entry->key.data, entry->key.len, entry);
    if (map->count == map->capacity) {
        map->capacity = map->capacity == 0 ? 64 : map->capacity * 2;
        map->ordered = mem_realloc_array(map->ordered, map->capacity, sizeof *map->ordered);
    }
    map->ordered[map->count++] = entry;
    return true;
}

bool text_map_find(const struct text_map *map, struct slice key, struct slice *value)
{
    const struct text_map_entry *entry = find_entry(map, key);
    if (entry != NULL)
        *value = entry->value;
    return entry != NULL;
}

size_t text_map_count(const struct text_map *map)
{
    return map->count;
}

bool text_map_at(const struct text_map *map, size_t index, struct slice *key, struct slice *value)
{
    if (index >= map->count)
        return false;
    *key = map->ordered[index]->key;
    *value = map->ordered[index]->value;
    return true;
}

static void warn_duplicate(struct text_source *source, const char *title, struct slice key, unsigned line)
{
    if (title != NULL)
        text_source_warn(source, "%s: duplicate entry: \"%.*s\"", title, SLICE_ARGS(key));
    else
        text_source_warn(source, "%s, line %u: duplicate entry: \"%.*s\"", source->file, line,
                         SLICE_ARGS(key));
}

void text_map_read(struct text_map *map, struct text_source *source, bool fold, const char *title,
                   enum text_map_duplicates duplicates)
{
    struct text_entry entry;
    struct str folded = STR_EMPTY;
    while (text_source_next(source, &entry)) {
        struct slice key = entry.key;
        if (fold) {
            str_clear(&folded);
            utf8_append_folded(&folded, entry.key);
            key = str_slice(&folded);
        }
        bool added = text_map_add(map, key, entry.value, duplicates == DUPLICATE_REPLACE);
        if (!added && duplicates == DUPLICATE_WARN)
            warn_duplicate(source, title, title != NULL ? key : entry.key, entry.line);
    }
    str_free(&folded);
}
