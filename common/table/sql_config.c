/* SPDX-License-Identifier: ISC */
/*
 * sql_config: the .cf files of SQL tables, or the older NAME_parameter form in main.cf. Read once at open with the
 * rights that lookup has then (root, before it confines itself), and again after a change when still readable.
 */
#include "common/table/sql_config.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/logical_line.h"
#include "common/config/main_cf.h"

struct sql_setting {
    const char *name, *value;
};

static void put_setting(struct sql_config *sql, struct slice name, struct slice value)
{
    if ((sql->setting_count & (sql->setting_count - 1)) == 0) { /* at powers of two */
        struct sql_setting *larger =
            arena_alloc_array(sql->arena, sql->setting_count * 2 + 1, sizeof *larger);
        if (sql->setting_count > 0)
            memcpy(larger, sql->settings, sql->setting_count * sizeof *larger);
        sql->settings = larger;
    }
    sql->settings[sql->setting_count++] =
        (struct sql_setting){arena_slice(sql->arena, name), arena_slice(sql->arena, value)};
}

static bool parse_settings(struct sql_config *sql, struct slice text, char **error)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    bool ok = true;
    while (ok && logical_line_next(&reader, &line)) {
        struct slice name, value;
        const char *why = "logical line must not start with whitespace";
        ok = !line.starts_with_space && logical_line_split_setting(str_slice(&line.text), &name, &value, &why);
        if (ok)
            put_setting(sql, name, value);
        else
            *error = mem_printf("%s, line %u: %s: \"%.40s\"", sql->path, line.first_line, why,
                                str_text(&line.text));
    }
    str_free(&line.text);
    return ok;
}

static bool read_settings(struct sql_config *sql, char **error)
{
    struct str text = STR_EMPTY;
    sql->stamp = file_stamp_get(sql->path);
    bool ok = config_read_file(sql->path, &text);
    if (!ok)
        *error = mem_printf("open %s: %s", sql->path, strerror(errno));
    else
        ok = parse_settings(sql, str_slice(&text), error);
    if (text.data != NULL)
        mem_wipe(text.data, text.cap);
    str_free(&text);
    return ok;
}

const char *sql_config_get(const struct sql_config *sql, const char *parameter, const char *fallback)
{
    if (sql->path == NULL) {
        char *name = arena_printf(sql->arena, "%s_%s", sql->name, parameter);
        const char *value = config_string_or_null(sql->main_config, name);
        return value != NULL ? value : fallback;
    }
    for (size_t i = sql->setting_count; i > 0; i--) /* the last one written counts */
        if (strcmp(sql->settings[i - 1].name, parameter) == 0)
            return sql->settings[i - 1].value;
    return fallback;
}

/* The parameters from before there was "query". */
static char *legacy_query(const struct sql_config *sql, char **error)
{
    const char *function = sql_config_get(sql, "select_function", NULL);
    const char *field = sql_config_get(sql, "select_field", NULL);
    const char *table = sql_config_get(sql, "table", NULL);
    const char *where = sql_config_get(sql, "where_field", NULL);
    if (function != NULL && *function != '\0')
        return arena_printf(sql->arena, "SELECT %s('%%s')", function);
    if (field != NULL && table != NULL && where != NULL)
        return arena_printf(sql->arena, "SELECT %s FROM %s WHERE %s = '%%s' %s", field, table, where,
                            sql_config_get(sql, "additional_conditions", ""));
    *error = mem_printf("%s: needs \"query\", or select_field, table and where_field", sql->spec);
    return NULL;
}

static bool interpret(struct sql_config *sql, char **error)
{
    const char *query = sql_config_get(sql, "query", "");
    const char *domain = sql_config_get(sql, "domain", "");
    uint64_t limit;
    if (!slice_to_u64(slice_of(sql_config_get(sql, "expansion_limit", "0")), &limit) || limit > INT32_MAX) {
        *error = mem_printf("%s: bad numerical configuration: expansion_limit = %s", sql->spec,
                            sql_config_get(sql, "expansion_limit", "0"));
        return false;
    }
    sql->expansion_limit = (int64_t)limit;
    sql->result_format = arena_strdup(sql->arena, sql_config_get(sql, "result_format", "%s"));
    sql->query = *query != '\0' ? arena_strdup(sql->arena, query) : legacy_query(sql, error);
    if (sql->query == NULL)
        return false;
    sql->query_needs = sql_template_needs(sql->query, false);
    sql->result_needs = sql_template_needs(sql->result_format, true);
    /* A key that lacks what the result format wants of it is not worth a query. */
    sql->query_needs |= sql_template_needs(sql->result_format, true) & sql_template_needs("%U%D", true);
    if (*domain != '\0')
        sql->domain = match_list_open(sql->spec, domain, MATCH_STRING, sql->main_config);
    return true;
}

struct sql_config *sql_config_open(const char *type, const char *name, const struct config *config, char **error)
{
    struct sql_config *sql = mem_alloc(sizeof *sql);
    sql->arena = arena_new();
    sql->spec = arena_printf(sql->arena, "%s:%s", type, name);
    sql->name = arena_strdup(sql->arena, name);
    sql->main_config = config;
    bool is_path = name[0] == '/' || name[0] == '.';
    sql->path = is_path ? arena_strdup(sql->arena, name) : NULL;
    if ((!is_path || read_settings(sql, error)) && interpret(sql, error))
        return sql;
    sql_config_close(sql);
    return NULL;
}

void sql_config_close(struct sql_config *sql)
{
    if (sql == NULL)
        return;
    for (size_t i = 0; i < sql->setting_count; i++)
        if (strcmp(sql->settings[i].name, "password") == 0)
            mem_wipe((char *)(uintptr_t)sql->settings[i].value, strlen(sql->settings[i].value));
    match_list_close(sql->domain);
    arena_free(sql->arena);
    free(sql);
}

bool sql_config_is_stale(const struct sql_config *sql)
{
    if (sql->path == NULL)
        return false;
    struct file_stamp now = file_stamp_get(sql->path);
    return now.exists && !file_stamp_equal(now, sql->stamp);
}

enum table_status sql_config_wants(struct sql_config *sql, struct slice key, int64_t deadline)
{
    if (sql->domain == NULL)
        return TABLE_FOUND;
    const char *at = key.len > 0 ? memrchr(key.data, '@', key.len) : NULL;
    if (at == NULL || at == key.data)
        return TABLE_NOT_FOUND;
    struct slice domain = slice_skip(key, (size_t)(at - key.data) + 1);
    if (domain.len == 0)
        return TABLE_NOT_FOUND;
    switch (match_list_find(sql->domain, domain, deadline)) {
    case MATCH_YES: return TABLE_FOUND;
    case MATCH_NO: return TABLE_NOT_FOUND;
    default: return TABLE_ERROR;
    }
}

bool sql_config_add_result(const struct sql_config *sql, struct slice key, struct slice value, int64_t *count,
                           struct str *answer)
{
    struct str one = STR_EMPTY;
    if (value.len == 0)
        log_warning("table \"%s\": empty lookup result for: \"%.*s\" -- ignored", sql->spec, SLICE_ARGS(key));
    bool expanded = sql_expand_result(sql->result_format, sql->result_needs, value, key, &one) == SQL_EXPANDED;
    if (expanded && sql->expansion_limit > 0 && ++*count > sql->expansion_limit) {
        log_warning("%s: Expansion limit exceeded for key: '%.*s'", sql->spec, SLICE_ARGS(key));
        str_free(&one);
        return false;
    }
    if (expanded) {
        if (answer->len > 0)
            str_append_char(answer, ',');
        str_append_slice(answer, str_slice(&one));
    }
    str_free(&one);
    return true;
}
