/* SPDX-License-Identifier: ISC */
/*
 * config_list: list values. config_split_list is pure; config_read_list also replaces a "/file/name"
 * element by that file's content and so belongs where files may still be opened.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/config_internal.h"
#include "common/config/logical_line.h"
#include "common/config/main_cf.h"

#define LIST_MAX_NESTING 10
#define LIST_MAX_ITEMS 100000

struct item_list {
    struct arena *arena;
    char **items;
    size_t count, capacity;
};

static void add_item(struct item_list *list, const char *prefix, struct slice text)
{
    if (list->count + 1 >= list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        char **larger = arena_alloc_array(list->arena, list->capacity, sizeof *larger);
        if (list->count > 0)
            memcpy(larger, list->items, list->count * sizeof *larger);
        list->items = larger;
    }
    list->items[list->count++] = arena_printf(list->arena, "%s%.*s", prefix, SLICE_ARGS(text));
}

size_t config_word_length(struct slice text, const char *separators)
{
    size_t len = 0, level = 0;
    for (; len < text.len; len++) {
        char c = text.data[len];
        bool separates = text_is_space(c) || (c != '\0' && strchr(separators, c) != NULL);
        if (separates && level == 0)
            break;
        if (c == '{')
            level++;
        else if (c == '}' && level > 0)
            level--;
    }
    return len;
}

static bool is_separator(char c)
{
    return c == ',' || text_is_space(c);
}

static struct slice strip_braces(struct slice item)
{
    if (item.len < 2 || item.data[0] != '{' || item.data[item.len - 1] != '}')
        return item;
    return slice_trim(slice_range(item.data + 1, item.len - 2));
}

static bool next_item(struct slice *rest, struct slice *item)
{
    while (rest->len > 0 && is_separator(rest->data[0]))
        *rest = slice_skip(*rest, 1);
    size_t len = config_word_length(*rest, ",");
    *item = strip_braces(slice_range(rest->data, len));
    *rest = slice_skip(*rest, len);
    return len > 0;
}

size_t config_split_list(const char *value, struct arena *arena, char ***items)
{
    struct item_list list = {.arena = arena};
    struct slice rest = slice_of(value), item;
    while (next_item(&rest, &item))
        add_item(&list, "", item);
    *items = list.items;
    return list.count;
}

static bool read_items(struct item_list *list, const char *prefix, struct slice value,
                       unsigned nesting, struct str *why);

/* A file of a list: comments and white space at the start of a line mean what they do in main.cf. */
static bool read_file_items(struct item_list *list, const char *prefix, struct slice path,
                            unsigned nesting, struct str *why)
{
    struct str content = STR_EMPTY;
    struct logical_line line = {.text = STR_EMPTY};
    char *name = mem_strndup(path.data, path.len);
    bool ok = nesting < LIST_MAX_NESTING;
    if (!ok) {
        str_printf(why, "lists are nested too deeply at %s", name);
    } else if (!config_read_file(name, &content)) {
        str_printf(why, "open %s: %s", name, strerror(errno));
        ok = false;
    }
    struct logical_line_reader reader = {.rest = str_slice(&content)};
    while (ok && logical_line_next(&reader, &line))
        ok = read_items(list, prefix, str_slice(&line.text), nesting + 1, why);
    str_free(&line.text);
    str_free(&content);
    free(name);
    return ok;
}

static bool read_items(struct item_list *list, const char *prefix, struct slice value,
                       unsigned nesting, struct str *why)
{
    struct slice item;
    while (next_item(&value, &item)) {
        bool negated = item.len > 0 && item.data[0] == '!';
        struct slice plain = negated ? slice_skip(item, 1) : item;
        bool is_path = plain.len > 1 && plain.data[0] == '/';
        if (list->count >= LIST_MAX_ITEMS) {
            str_append(why, "the list is too long");
            return false;
        }
        if (!is_path)
            add_item(list, prefix, item);
        else if (!read_file_items(list, negated ? "!" : prefix, plain, nesting, why))
            return false;
    }
    return true;
}

size_t config_read_list(const struct config *config, const char *name, struct arena *arena,
                        char ***items, struct config_problems *problems)
{
    struct item_list list = {.arena = arena};
    struct str why = STR_EMPTY;
    const char *value = config_string_or_null(config, name);
    if (!read_items(&list, "", slice_of(value), 0, &why))
        config_problems_add(problems, config_origin(config, name), true, "parameter %s: %s", name,
                            str_text(&why));
    str_free(&why);
    *items = list.items;
    return list.count;
}
