/* SPDX-License-Identifier: ISC */
/*
 * hash:, btree:, lmdb:, cdb: -- the text /etc/x is the truth, /etc/x.lmdb (.cdb) its indexed form. When that is missing or
 * older it is made here if we may write there; if not, the text is used from memory. So an admin may
 * forget postmap, and a chrooted or read-only system still works. Postfix's Berkeley DB files are ignored.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/file_stamp.h"
#include "common/table/indexed_file.h"
#include "common/table/table_build.h"
#include "common/table/table_types.h"

struct hash_table {
    const struct indexed_format *format;
    char *source_path, *built_path;
    struct file_stamp source, built; /* as they were when opened */
    void *file;                      /* one of these two */
    struct text_map *memory;
};

static void hash_close(void *data)
{
    struct hash_table *hash = data;
    hash->format->close(hash->file);
    text_map_free(hash->memory);
    free(hash->source_path);
    free(hash->built_path);
    free(hash);
}

/* The source is newer: into the indexed file when possible, otherwise into memory. */
static bool hash_read_source(struct hash_table *hash, unsigned flags, char **error)
{
    struct table_source source = {
        .path = hash->source_path,
        .format = flags & TABLE_ALIAS_SOURCE ? SOURCE_ALIASES : SOURCE_MAP,
        .fold = true,
        .rhs_is_file = flags & TABLE_SRC_RHS_IS_FILE,
        .title = hash->source_path,
    };
    struct text_map *map = text_map_new();
    struct stat st;
    char *why = NULL;
    if (!table_source_read(&source, map, &st, error)) {
        text_map_free(map);
        return false;
    }
    hash->source = file_stamp_of(&st);
    struct table_build build = {.format = hash->format, .source = hash->source_path, .map = map, .st = &st, .as_source_owner = true};
    if (table_build_write(&build, &why)) {
        text_map_free(map);
        hash->built = file_stamp_get(hash->built_path);
        hash->file = hash->format->open(hash->built_path, error);
        return hash->file != NULL;
    }
    log_info("%s is %s %s and cannot be written (%s): using the text itself", hash->built_path,
             hash->built.exists ? "older than" : "missing beside", hash->source_path, why);
    free(why);
    hash->memory = map;
    return true;
}

static bool hash_load(struct hash_table *hash, unsigned flags, char **error)
{
    if (hash->source.exists && (!hash->built.exists || file_stamp_newer(hash->source, hash->built))) {
        if (hash_read_source(hash, flags, error))
            return true;
        if (!hash->built.exists)
            return false;
        log_warning("database %s is older than source file %s, which cannot be read: %s", hash->built_path,
                    hash->source_path, *error);
        free(*error);
        *error = NULL;
    }
    hash->file = hash->format->open(hash->built_path, error);
    return hash->file != NULL;
}

static void *open_as(const struct indexed_format *format, const char *name, unsigned flags, char **error)
{
    struct hash_table *hash = mem_alloc(sizeof *hash);
    hash->format = format;
    hash->source_path = mem_strdup(name);
    hash->built_path = table_built_path(format, name);
    hash->source = file_stamp_get(hash->source_path);
    hash->built = file_stamp_get(hash->built_path);
    if (hash_load(hash, flags, error))
        return hash;
    hash_close(hash);
    return NULL;
}

static void *hash_open(const char *name, const struct config *config UNUSED, unsigned flags, char **error)
{
    return open_as(&indexed_lmdb, name, flags, error);
}

static bool hash_is_stale(void *data)
{
    struct hash_table *hash = data;
    struct file_stamp source = file_stamp_get(hash->source_path), built = file_stamp_get(hash->built_path);
    /* A file that vanished is being replaced, or its admin will miss it at the next start: keep what we have. */
    return (source.exists && !file_stamp_equal(source, hash->source) && file_stamp_is_settled(source)) ||
           (built.exists && !file_stamp_equal(built, hash->built));
}

static enum table_status hash_find(void *data, struct slice key, struct str *value, char **error,
                                   int64_t deadline UNUSED)
{
    struct hash_table *hash = data;
    struct slice found;
    const char *why;
    if (hash->memory != NULL) {
        if (!text_map_find(hash->memory, key, &found))
            return TABLE_NOT_FOUND;
        str_append_slice(value, found);
        return TABLE_FOUND;
    }
    switch (hash->format->find(hash->file, key, &found, &why)) {
    case INDEXED_FOUND:
        str_append_slice(value, found);
        return TABLE_FOUND;
    case INDEXED_NOT_FOUND:
        return TABLE_NOT_FOUND;
    default:
        *error = mem_printf("error reading %s: %s", hash->built_path, why);
        return TABLE_ERROR;
    }
}

static bool hash_walk(void *data, table_visitor *visit, void *context, char **error)
{
    struct hash_table *hash = data;
    struct slice key, value;
    const char *why;
    if (hash->memory != NULL) {
        for (size_t i = 0; text_map_at(hash->memory, i, &key, &value) && visit(context, key, value); i++)
            continue;
        return true;
    }
    if (hash->format->walk(hash->file, visit, context, &why))
        return true;
    *error = mem_printf("error reading %s: %s", hash->built_path, why);
    return false;
}

#define HASH_METHODS .close = hash_close, .find = hash_find, .is_stale = hash_is_stale, .walk = hash_walk

const struct table_type table_hash = {.name = "hash", .open = hash_open, HASH_METHODS};
const struct table_type table_btree = {.name = "btree", .open = hash_open, HASH_METHODS};
const struct table_type table_lmdb = {.name = "lmdb", .open = hash_open, HASH_METHODS};

#ifdef HAVE_CDB
static void *cdb_open(const char *name, const struct config *config UNUSED, unsigned flags, char **error)
{
    return open_as(&indexed_cdb, name, flags, error);
}

const struct table_type table_cdb = {.name = "cdb", .open = cdb_open, HASH_METHODS};
#endif
