/* SPDX-License-Identifier: ISC */
/*
 * match_list: called by the address resolver and by SQL tables (their "domain" list). Files in a list are read
 * again when they change. A table or file that fails makes the answer MATCH_ERROR, never "no".
 */
#include "common/table/match_list.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/logical_line.h"
#include "common/config/main_cf.h"
#include "common/table/file_stamp.h"

#define MATCH_MAX_NESTING 10
#define MATCH_CHECK_INTERVAL_MS 1000

struct match_element {
    bool negated;
    char *name;          /* in lower case */
    struct table *table; /* or a table */
    char *error;         /* or a file that cannot be read */
};

struct match_file {
    char *path;
    struct file_stamp stamp;
};

struct match_list {
    char *title, *text;
    enum match_style style;
    const struct config *config;
    struct match_element *elements;
    size_t count, capacity;
    struct match_file *files;
    size_t file_count;
    int64_t next_check;
    unsigned users; /* fibers inside match_list_find(): the elements must stay */
    char *failed;
};

static struct match_element *add_element(struct match_list *list, bool negated)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        list->elements = mem_realloc_array(list->elements, list->capacity, sizeof *list->elements);
    }
    struct match_element *element = &list->elements[list->count++];
    *element = (struct match_element){.negated = negated};
    return element;
}

static void parse_text(struct match_list *list, const char *text, bool negated, unsigned nesting);

static void parse_file(struct match_list *list, const char *path, bool negated, unsigned nesting)
{
    struct str content = STR_EMPTY;
    struct logical_line line = {.text = STR_EMPTY};
    list->files = mem_realloc_array(list->files, list->file_count + 1, sizeof *list->files);
    list->files[list->file_count++] = (struct match_file){mem_strdup(path), file_stamp_get(path)};
    if (nesting >= MATCH_MAX_NESTING)
        add_element(list, false)->error = mem_printf("open %s: lists are nested too deeply", path);
    else if (!config_read_file(path, &content))
        add_element(list, false)->error = mem_printf("open file %s: %s", path, strerror(errno));
    struct logical_line_reader reader = {.rest = str_slice(&content)};
    while (logical_line_next(&reader, &line))
        parse_text(list, str_text(&line.text), negated, nesting + 1);
    str_free(&line.text);
    str_free(&content);
}

static bool is_table_spec(const char *item)
{
    /* "[2001:db8::1]" has colons and is no table; neither is a bare IPv6 address, which begins with a digit or colon. */
    return item[0] != '[' && item[0] != ':' && !text_is_digit(item[0]) && strchr(item, ':') != NULL;
}

static void parse_item(struct match_list *list, const char *item, bool negated, unsigned nesting)
{
    while (*item == '!') {
        negated = !negated;
        item++;
    }
    if (*item == '/') {
        parse_file(list, item, negated, nesting);
    } else if (is_table_spec(item)) {
        add_element(list, negated)->table = table_open(item, list->config, TABLE_FOLD_KEY);
    } else if (*item != '\0') {
        struct match_element *element = add_element(list, negated);
        element->name = mem_strdup(item);
        text_lowercase(element->name);
    }
}

static void parse_text(struct match_list *list, const char *text, bool negated, unsigned nesting)
{
    struct arena *arena = arena_new();
    char **items;
    size_t count = config_split_list(text, arena, &items);
    for (size_t i = 0; i < count; i++)
        parse_item(list, items[i], negated, nesting);
    arena_free(arena);
}

struct match_list *match_list_open(const char *title, const char *text, enum match_style style,
                                   const struct config *config)
{
    struct match_list *list = mem_alloc(sizeof *list);
    list->title = mem_strdup(title);
    list->text = mem_strdup(text);
    list->style = style;
    list->config = config;
    list->failed = mem_strdup(title);
    parse_text(list, text, false, 0);
    for (size_t i = 0; i < list->count; i++)
        if (list->elements[i].error != NULL)
            log_warning("%s: %s", title, list->elements[i].error);
    return list;
}

static void forget(struct match_element *elements, size_t count, struct match_file *files, size_t file_count)
{
    for (size_t i = 0; i < count; i++) {
        free(elements[i].name);
        free(elements[i].error);
        table_close(elements[i].table);
    }
    for (size_t i = 0; i < file_count; i++)
        free(files[i].path);
    free(elements);
    free(files);
}

void match_list_close(struct match_list *list)
{
    if (list == NULL)
        return;
    forget(list->elements, list->count, list->files, list->file_count);
    free(list->title);
    free(list->text);
    free(list->failed);
    free(list);
}

bool match_list_may_wait(const struct match_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->elements[i].table != NULL && table_may_wait(list->elements[i].table))
            return true;
    return false;
}

bool match_list_is_empty(const struct match_list *list)
{
    return list->count == 0;
}

const char *match_list_failed(const struct match_list *list)
{
    return list->failed;
}

/* --- a changed file ------------------------------------------------------------------ */

static bool files_changed(const struct match_list *list)
{
    for (size_t i = 0; i < list->file_count; i++) {
        struct file_stamp now = file_stamp_get(list->files[i].path);
        if (!file_stamp_equal(list->files[i].stamp, now) && (!now.exists || file_stamp_is_settled(now)))
            return true;
    }
    return false;
}

static bool has_unreadable_file(const struct match_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->elements[i].error != NULL)
            return true;
    return false;
}

static void match_list_refresh(struct match_list *list)
{
    if (list->file_count == 0 || list->users > 0)
        return;
    int64_t now = clock_ms();
    if (now < list->next_check)
        return;
    list->next_check = now + MATCH_CHECK_INTERVAL_MS;
    if (!files_changed(list))
        return;
    struct match_list old = *list;
    list->elements = NULL;
    list->files = NULL;
    list->count = list->capacity = list->file_count = 0;
    parse_text(list, list->text, false, 0);
    if (has_unreadable_file(list) && !has_unreadable_file(&old)) {
        struct match_list unusable = *list; /* a file in the middle of being replaced: go on with what was there */
        list->elements = old.elements;
        list->count = old.count;
        list->capacity = old.capacity;
        list->files = old.files;
        list->file_count = old.file_count;
        old = unusable;
    }
    forget(old.elements, old.count, old.files, old.file_count);
}

/* --- matching ------------------------------------------------------------------------- */

static bool name_matches(enum match_style style, struct slice name, struct slice pattern)
{
    if (slice_equal_nocase(name, pattern))
        return true;
    if (style == MATCH_STRING || name.len <= pattern.len)
        return false;
    struct slice tail = slice_skip(name, name.len - pattern.len);
    if (style == MATCH_DOMAIN)
        return pattern.len > 0 && pattern.data[0] == '.' && slice_equal_nocase(tail, pattern);
    return tail.data[-1] == '.' && slice_equal_nocase(tail, pattern);
}

/* The name, then (for domain lists) its parents. */
static enum table_status table_matches(enum match_style style, struct table *table, struct slice name,
                                       int64_t deadline)
{
    struct str value = STR_EMPTY;
    enum table_status status = table_find(table, name, &value, deadline);
    bool parents = style != MATCH_STRING && !table_is_pattern(table);
    while (parents && status == TABLE_NOT_FOUND && name.len > 1) {
        const char *dot = memchr(name.data + 1, '.', name.len - 1);
        if (dot == NULL)
            break;
        name = slice_skip(name, (size_t)(dot - name.data) + (style == MATCH_DOMAIN_PARENTS ? 1 : 0));
        if (name.len > 0)
            status = table_find(table, name, &value, deadline);
    }
    str_free(&value);
    return status;
}

static enum match_status element_find(struct match_list *list, size_t index, struct slice name,
                                      int64_t deadline)
{
    struct match_element *element = &list->elements[index];
    if (element->error != NULL) {
        log_warning("%s: %s", list->title, element->error);
        return MATCH_ERROR;
    }
    if (element->table == NULL)
        return name_matches(list->style, name, slice_of(element->name)) ? MATCH_YES : MATCH_NO;
    enum table_status status = table_matches(list->style, element->table, name, deadline);
    if (status == TABLE_ERROR) {
        free(list->failed);
        list->failed = mem_strdup(table_spec(element->table));
        return MATCH_ERROR;
    }
    return status == TABLE_FOUND ? MATCH_YES : MATCH_NO;
}

enum match_status match_list_find(struct match_list *list, struct slice name, int64_t deadline)
{
    enum match_status status = MATCH_NO;
    bool negated = false;
    match_list_refresh(list);
    list->users++;
    for (size_t i = 0; status == MATCH_NO && i < list->count; i++) {
        negated = list->elements[i].negated;
        status = element_find(list, i, name, deadline);
    }
    list->users--;
    return status == MATCH_YES && negated ? MATCH_NO : status;
}
