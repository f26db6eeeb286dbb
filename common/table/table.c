/* SPDX-License-Identifier: ISC */
/*
 * table: what all types share: opening by "type:name" (once per spec), folding of keys, noticing that a source
 * changed, trying again after a failure. Called by lookup and by commands. A table that cannot be opened
 * anew goes on with what it had; one that was never open answers TABLE_ERROR, never "not found".
 */
#include "common/table/table.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/rhs_file.h"
#include "common/table/utf8.h"

#define TABLE_CHECK_INTERVAL_MS 1000
#define LONGEST_KEY_IN_LOG 500

/* What a type's open() gave. A lookup that waits keeps its state alive while a newer one takes over. */
struct table_state {
    void *data;
    unsigned users;
    bool retired;
};

struct table {
    char *cache_key;
    char *spec;
    const char *name; /* inside spec */
    const struct table_type *type;
    const struct config *config;
    unsigned flags;
    unsigned references;
    struct table_state *state; /* NULL while it cannot be opened */
    char *error;               /* why */
    int64_t next_check;
    UT_hash_handle hh;
};

static struct table *opened_tables;

/* --- opening ---------------------------------------------------------------------- */

bool table_spec_split(const char *spec, struct slice *type, const char **name)
{
    while (strncmp(spec, "proxy:", 6) == 0)
        spec += 6;
    const char *colon = strchr(spec, ':');
    if (colon == NULL || colon == spec)
        return false;
    *type = slice_range(spec, (size_t)(colon - spec));
    *name = colon + 1;
    return true;
}

static void state_release(const struct table_type *type, struct table_state *state)
{
    if (state == NULL || state->users > 0)
        return;
    type->close(state->data);
    free(state);
}

static void table_set_state(struct table *table, void *data)
{
    struct table_state *old = table->state;
    table->state = mem_alloc(sizeof *table->state);
    table->state->data = data;
    free(table->error);
    table->error = NULL;
    if (old != NULL) {
        old->retired = true;
        state_release(table->type, old);
    }
}

static void table_try_open(struct table *table)
{
    char *error = NULL;
    if (table->type == NULL)
        return;
    void *data = table->type->open(table->name, table->config, table->flags, &error);
    table->next_check = clock_ms() + TABLE_CHECK_INTERVAL_MS;
    if (data != NULL) {
        table_set_state(table, data);
    } else if (table->state == NULL) {
        free(table->error);
        table->error = error != NULL ? error : mem_strdup("cannot be opened");
        return;
    } else {
        log_warning("%s: keeping its previous contents: %s", table->spec, error != NULL ? error : "");
    }
    free(error);
}

static void table_identify(struct table *table)
{
    struct slice type;
    if (!table_spec_split(table->spec, &type, &table->name) || *table->name == '\0') {
        table->error = mem_printf("open dictionary: expecting \"type:name\" form instead of \"%s\"", table->spec);
        return;
    }
    table->type = table_type_find(type);
    if (table->type == NULL)
        table->error = mem_printf("unsupported dictionary type: %.*s", SLICE_ARGS(type));
}

/* What alias_maps and alias_database name is written as aliases(5). */
static bool spec_is_aliases(const char *spec, const struct config *config)
{
    static const char *const parameters[] = {"alias_maps", "alias_database"};
    struct arena *arena = arena_new();
    bool found = false;
    while (strncmp(spec, "proxy:", 6) == 0)
        spec += 6;
    for (size_t p = 0; p < sizeof parameters / sizeof parameters[0]; p++) {
        char **items;
        size_t count = config_split_list(config_string(config, parameters[p]), arena, &items);
        for (size_t i = 0; i < count && !found; i++)
            found = strcmp(strncmp(items[i], "proxy:", 6) == 0 ? items[i] + 6 : items[i], spec) == 0;
    }
    arena_free(arena);
    return found;
}

struct table *table_open(const char *spec, const struct config *config, unsigned flags)
{
    struct table *table;
    if (spec_is_aliases(spec, config))
        flags |= TABLE_ALIAS_SOURCE;
    char *cache_key = mem_printf("%u %p %s", flags, (const void *)config, spec);
    HASH_FIND_STR(opened_tables, cache_key, table);
    if (table != NULL) {
        free(cache_key);
        table->references++;
        return table;
    }
    table = mem_alloc(sizeof *table);
    *table = (struct table){.cache_key = cache_key, .spec = mem_strdup(spec), .config = config,
                            .flags = flags, .references = 1};
    HASH_ADD_KEYPTR(hh, opened_tables, table->cache_key, strlen(table->cache_key), table);
    table_identify(table);
    table_try_open(table);
    return table;
}

void table_close(struct table *table)
{
    if (table == NULL || --table->references > 0)
        return;
    HASH_DEL(opened_tables, table);
    state_release(table->type, table->state);
    free(table->error);
    free(table->spec);
    free(table->cache_key);
    free(table);
}

const char *table_spec(const struct table *table)
{
    return table->spec;
}

const char *table_open_error(const struct table *table)
{
    return table->state == NULL ? table->error : NULL;
}

bool table_is_pattern(const struct table *table)
{
    if (table->type == NULL)
        return false;
    if (table->type->pattern)
        return true;
    return table->state != NULL && table->type->is_pattern != NULL && table->type->is_pattern(table->state->data);
}

bool table_may_wait(const struct table *table)
{
    if (table->type == NULL)
        return false;
    if (table->type->waits)
        return true;
    return table->state != NULL && table->type->may_wait != NULL && table->type->may_wait(table->state->data);
}

/* --- looking up -------------------------------------------------------------------- */

static void table_refresh(struct table *table)
{
    if (table->type == NULL || (table->state != NULL && table->type->is_stale == NULL))
        return;
    int64_t now = clock_ms();
    if (now < table->next_check)
        return;
    table->next_check = now + TABLE_CHECK_INTERVAL_MS;
    if (table->state == NULL || table->type->is_stale(table->state->data))
        table_try_open(table);
}

static enum table_status table_find_now(struct table *table, struct slice key, struct str *value,
                                        char **error, int64_t deadline)
{
    struct table_state *state = table->state;
    const struct table_type *type = table->type;
    state->users++;
    enum table_status status = type->find(state->data, key, value, error, deadline);
    state->users--;
    if (state->retired)
        state_release(type, state);
    return status;
}

/* postmap -F: the table holds files as base64. */
static enum table_status table_decode(const struct table *table, struct slice key, struct str *value, size_t before,
                                      char **error)
{
    struct str decoded = STR_EMPTY;
    bool good = rhs_file_decode(slice_skip(str_slice(value), before), &decoded);
    if (!good)
        *error = mem_printf("table %s: key %.*s: malformed BASE64 value: %.100s", table->spec, SLICE_ARGS(key),
                            str_text(value) + before);
    str_truncate(value, before);
    if (good)
        str_append_slice(value, str_slice(&decoded));
    str_free(&decoded);
    return good ? TABLE_FOUND : TABLE_ERROR;
}

static enum table_status table_unavailable(const struct table *table)
{
    log_warning("%s is unavailable. %s", table->spec, table->error);
    return TABLE_ERROR;
}

static enum table_status table_find_folded(struct table *table, struct slice key, struct str *value,
                                           char **error, int64_t deadline)
{
    char buffer[512];
    struct str longer = STR_EMPTY;
    struct slice folded = {buffer, 0};
    for (; folded.len < key.len && folded.len + 1 < sizeof buffer && (unsigned char)key.data[folded.len] < 0x80; folded.len++)
        buffer[folded.len] = text_lower_char(key.data[folded.len]);
    buffer[folded.len] = '\0';
    if (folded.len < key.len) { /* long, or not all of it is ASCII */
        utf8_append_folded(&longer, key);
        folded = str_slice(&longer);
    }
    enum table_status status = table_find_now(table, folded, value, error, deadline);
    str_free(&longer);
    return status;
}

enum table_status table_find(struct table *table, struct slice key, struct str *value, int64_t deadline)
{
    size_t before = value->len;
    char *error = NULL;
    enum table_status status;
    table_refresh(table);
    if (table->state == NULL)
        status = table_unavailable(table);
    else if ((table->flags & TABLE_FOLD_KEY) && !table->type->pattern && !table->type->is_compound)
        status = table_find_folded(table, key, value, &error, deadline);
    else
        status = table_find_now(table, key, value, &error, deadline);
    if (status == TABLE_FOUND && (table->flags & TABLE_SRC_RHS_IS_FILE))
        status = table_decode(table, key, value, before, &error);
    if (status == TABLE_ERROR) {
        if (error != NULL)
            log_warning("%s", error);
        int shown = key.len < LONGEST_KEY_IN_LOG ? (int)key.len : LONGEST_KEY_IN_LOG;
        if ((table->flags & TABLE_CALLER_SPEAKS) == 0)
            log_warning("%s lookup error for \"%.*s\"", table->spec, shown, key.data);
    }
    if (status != TABLE_FOUND)
        str_truncate(value, before);
    free(error);
    return status;
}

bool table_walk(struct table *table, table_visitor *visit, void *context, char **error)
{
    *error = NULL;
    if (table->state != NULL && table->type->walk != NULL)
        return table->type->walk(table->state->data, visit, context, error);
    if (table->state == NULL)
        *error = mem_strdup(table->error);
    return false;
}
