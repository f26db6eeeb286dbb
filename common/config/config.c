/* SPDX-License-Identifier: ISC */
/*
 * config: settings in memory, in the order written, and their life cycle. The getters are in
 * config_values.c, the defaults that ask the system in config_defaults.c. Held by every process; only
 * config_load touches files.
 */
#include "common/config/config.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/config_internal.h"
#include "common/config/main_cf.h"

struct config *config_new(const char *directory)
{
    struct config *config = mem_alloc(sizeof *config);
    config->arena = arena_new();
    config->directory = arena_strdup(config->arena, directory);
    config->cache = mem_alloc(sizeof *config->cache);
    config->cache->arena = arena_new();
    return config;
}

struct config *config_new_default(void)
{
    return config_new(POSTHORN_CONFIG_DIRECTORY);
}

static void computed_free(struct config_computed **map)
{
    HASH_CLEAR(hh, *map); /* the nodes live in the cache's arena */
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    HASH_CLEAR(hh, config->by_name);
    computed_free(&config->cache->evaluated);
    computed_free(&config->cache->system);
    arena_free(config->cache->arena);
    free(config->cache);
    free(config->entries);
    arena_free(config->arena);
    free(config);
}

const struct config_entry *config_find(const struct config *config, const char *name)
{
    struct config_entry *entry;
    HASH_FIND_STR(config->by_name, name, entry);
    return entry;
}

static void append_entry(struct config *config, struct config_entry *entry)
{
    if (config->count == config->capacity) {
        config->capacity = config->capacity == 0 ? 64 : config->capacity * 2;
        config->entries =
            mem_realloc_array(config->entries, config->capacity, sizeof *config->entries);
    }
    config->entries[config->count++] = entry;
    HASH_ADD_KEYPTR(hh, config->by_name, entry->name, strlen(entry->name), entry);
}

/* What was computed from the old settings may not be true any more. Texts given out stay valid. */
static void forget_computed(struct config *config)
{
    computed_free(&config->cache->evaluated);
    if (!config->received)
        computed_free(&config->cache->system);
}

void config_put(struct config *config, struct slice name, struct slice value,
                struct config_origin where)
{
    char *name_text = arena_slice(config->arena, name);
    struct config_entry *entry;
    HASH_FIND_STR(config->by_name, name_text, entry);
    if (entry == NULL) {
        entry = arena_alloc(config->arena, sizeof *entry);
        entry->name = name_text;
        append_entry(config, entry);
    }
    entry->value = arena_slice(config->arena, value);
    entry->where = where;
    forget_computed(config);
}

void config_set(struct config *config, const char *name, const char *value)
{
    config_put(config, slice_of(name), slice_trim(slice_of(value)), (struct config_origin){NULL, 0});
}

struct config *config_load(const char *directory, struct config_problems *problems)
{
    char *path = mem_printf("%s/main.cf", directory);
    struct str text = STR_EMPTY;
    struct config *config = NULL;
    if (config_read_file(path, &text)) {
        config = config_new(directory);
        main_cf_parse(path, str_slice(&text), config, problems);
    } else {
        config_problems_add(problems, (struct config_origin){NULL, 0}, true, "open %s: %s", path,
                            strerror(errno));
    }
    str_free(&text);
    free(path);
    return config;
}

static void copy_system(struct config *copy, const struct config *base)
{
    struct config_computed *item, *next;
    HASH_ITER(hh, base->cache->system, item, next)
        config_cache_put(copy->cache, &copy->cache->system, item->name, item->text);
}

struct config *config_with_overrides(const struct config *base, const char *const *names,
                                     const char *const *values, size_t count)
{
    struct config *copy = config_new(base->directory);
    const char *file = NULL, *file_copy = NULL;
    for (size_t i = 0; i < base->count; i++) {
        const struct config_entry *entry = base->entries[i];
        if (entry->where.file != file) {
            file = entry->where.file;
            file_copy = file != NULL ? arena_strdup(copy->arena, file) : NULL;
        }
        config_put(copy, slice_of(entry->name), slice_of(entry->value),
                   (struct config_origin){file_copy, entry->where.line});
    }
    for (size_t i = 0; i < count; i++)
        config_set(copy, names[i], values[i]);
    copy->received = base->received;
    if (base->received)
        copy_system(copy, base);
    return copy;
}

bool config_is_set(const struct config *config, const char *name)
{
    return config_find(config, name) != NULL;
}

struct config_origin config_origin(const struct config *config, const char *name)
{
    const struct config_entry *entry = config_find(config, name);
    return entry != NULL ? entry->where : (struct config_origin){NULL, 0};
}

const char *config_directory(const struct config *config)
{
    return config->directory;
}

size_t config_count(const struct config *config)
{
    return config->count;
}

const char *config_name_at(const struct config *config, size_t index)
{
    return config->entries[index]->name;
}
