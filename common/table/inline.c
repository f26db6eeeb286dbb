/* SPDX-License-Identifier: ISC */
/* inline:{name=value, {name = text with blanks}} -- a table written in main.cf itself. Pure. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/table_types.h"
#include "common/table/text_map.h"
#include "common/table/utf8.h"

/* name = value; the name may hold blanks and '=' in double quotes, which stay part of it. */
static bool split_item(struct slice item, struct slice *name, struct slice *value, const char **why)
{
    size_t len = 0;
    bool quoted = false;
    item = slice_trim(item);
    for (; len < item.len && (quoted || (item.data[len] != '=' && !text_is_space(item.data[len]))); len++) {
        if (item.data[len] == '"')
            quoted = !quoted;
        else if (item.data[len] == '\\' && len + 1 < item.len)
            len++;
    }
    *name = slice_range(item.data, len);
    *value = slice_trim(slice_skip(item, len));
    *why = len == 0 ? "missing attribute name" : "missing '=' after attribute name";
    if (len == 0 || value->len == 0 || value->data[0] != '=')
        return false;
    *value = slice_trim(slice_skip(*value, 1));
    return true;
}

static bool inline_add(struct text_map *map, const char *name, const char *item, unsigned flags, char **error)
{
    struct slice key, value;
    const char *why;
    if (!split_item(slice_of(item), &key, &value, &why)) {
        *error = mem_printf("%s: \"inline:%s\"; need \"inline:{name=value...}\"", why, name);
        return false;
    }
    struct str folded = STR_EMPTY;
    if (flags & TABLE_FOLD_KEY)
        utf8_append_folded(&folded, key);
    text_map_add(map, flags & TABLE_FOLD_KEY ? str_slice(&folded) : key, value, true);
    str_free(&folded);
    return true;
}

static void inline_close(void *data)
{
    text_map_free(data);
}

static void *inline_open(const char *name, const struct config *config UNUSED, unsigned flags, char **error)
{
    struct arena *arena = arena_new();
    struct text_map *map = text_map_new();
    struct slice text = slice_trim(slice_of(name));
    bool braces = text.len >= 2 && text.data[0] == '{' && text.data[text.len - 1] == '}';
    char **items = NULL;
    size_t count = 0;
    if (braces)
        count = config_split_list(arena_strndup(arena, text.data + 1, text.len - 2), arena, &items);
    bool ok = count > 0;
    if (!ok)
        *error = mem_printf("bad syntax: \"inline:%s\"; need \"inline:{name=value...}\"", name);
    for (size_t i = 0; ok && i < count; i++)
        ok = inline_add(map, name, items[i], flags, error);
    arena_free(arena);
    if (ok)
        return map;
    text_map_free(map);
    return NULL;
}

static enum table_status inline_find(void *data, struct slice key, struct str *value, char **error UNUSED,
                                     int64_t deadline UNUSED)
{
    struct slice found;
    if (!text_map_find(data, key, &found))
        return TABLE_NOT_FOUND;
    str_append_slice(value, found);
    return TABLE_FOUND;
}

static bool inline_walk(void *data, table_visitor *visit, void *context, char **error UNUSED)
{
    struct slice key, value;
    for (size_t i = 0; text_map_at(data, i, &key, &value) && visit(context, key, value); i++)
        continue;
    return true;
}

const struct table_type table_inline = {
    .name = "inline", .open = inline_open, .close = inline_close, .find = inline_find, .walk = inline_walk,
};
