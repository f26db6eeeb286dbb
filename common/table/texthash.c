/* SPDX-License-Identifier: ISC */
/*
 * texthash: -- a postmap source text, read into memory; read again when it changes. The text may also stand in the name:
 * texthash:{ {key value}, {key value} }.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/file_stamp.h"
#include "common/table/pattern_rules.h"
#include "common/table/rhs_file.h"
#include "common/table/table_build.h"
#include "common/table/table_types.h"

struct texthash {
    char *path;
    struct file_stamp stamp;
    struct text_map *map;
};

static void texthash_close(void *data)
{
    struct texthash *table = data;
    text_map_free(table->map);
    free(table->path);
    free(table);
}

static bool read_inline(const char *name, struct text_map *map, unsigned flags, char **error)
{
    struct str text = STR_EMPTY;
    struct text_source reader;
    bool ok = pattern_text_from_inline("texthash", name, &text, error);
    if (ok) {
        text_source_open(&reader, name, SOURCE_MAP, str_slice(&text));
        reader.texthash_words = true;
        reader.transform = flags & TABLE_SRC_RHS_IS_FILE ? rhs_file_encode : NULL;
        text_map_read(map, &reader, flags & TABLE_FOLD_KEY, NULL, DUPLICATE_WARN);
        text_source_close(&reader);
    }
    str_free(&text);
    return ok;
}

static void *texthash_open(const char *name, const struct config *config UNUSED, unsigned flags, char **error)
{
    struct texthash *table = mem_alloc(sizeof *table);
    struct stat st;
    table->path = mem_strdup(name);
    table->map = text_map_new();
    if (pattern_text_is_inline(name)) {
        if (read_inline(name, table->map, flags, error))
            return table;
        texthash_close(table);
        return NULL;
    }
    struct table_source source = {
        .path = name, .format = SOURCE_MAP, .fold = flags & TABLE_FOLD_KEY, .rhs_is_file = flags & TABLE_SRC_RHS_IS_FILE,
    };
    if (table_source_read(&source, table->map, &st, error)) {
        table->stamp = file_stamp_of(&st);
        return table;
    }
    struct slice reason = slice_skip(slice_of(*error), strlen("open "));
    char *worded = mem_printf("open database %.*s", SLICE_ARGS(reason));
    free(*error);
    *error = worded;
    texthash_close(table);
    return NULL;
}

static bool texthash_is_stale(void *data)
{
    struct texthash *table = data;
    if (!table->stamp.exists)
        return false; /* the text is in the name */
    struct file_stamp now = file_stamp_get(table->path);
    return now.exists && !file_stamp_equal(now, table->stamp) && file_stamp_is_settled(now);
}

static enum table_status texthash_find(void *data, struct slice key, struct str *value, char **error UNUSED,
                                       int64_t deadline UNUSED)
{
    struct texthash *table = data;
    struct slice found;
    if (!text_map_find(table->map, key, &found))
        return TABLE_NOT_FOUND;
    str_append_slice(value, found);
    return TABLE_FOUND;
}

static bool texthash_walk(void *data, table_visitor *visit, void *context, char **error UNUSED)
{
    struct texthash *table = data;
    struct slice key, value;
    for (size_t i = 0; text_map_at(table->map, i, &key, &value) && visit(context, key, value); i++)
        continue;
    return true;
}

const struct table_type table_texthash = {
    .name = "texthash", .open = texthash_open, .close = texthash_close, .find = texthash_find,
    .is_stale = texthash_is_stale, .walk = texthash_walk,
};
