/* SPDX-License-Identifier: ISC */
/*
 * db_config: the .cf files of database tables, or the older NAME_parameter form in main.cf. Read once at open with the
 * rights that lookup has then (root, before it confines itself), and again after a change when still readable.
 */
#include "common/table/db_config.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/logical_line.h"
#include "common/config/main_cf.h"

struct db_setting {
    const char *name, *value;
};

static void put_setting(struct db_config *db, struct slice name, struct slice value)
{
    if ((db->setting_count & (db->setting_count - 1)) == 0) { /* at powers of two */
        struct db_setting *larger =
            arena_alloc_array(db->arena, db->setting_count * 2 + 1, sizeof *larger);
        if (db->setting_count > 0)
            memcpy(larger, db->settings, db->setting_count * sizeof *larger);
        db->settings = larger;
    }
    db->settings[db->setting_count++] =
        (struct db_setting){arena_slice(db->arena, name), arena_slice(db->arena, value)};
}

static bool parse_settings(struct db_config *db, struct slice text, char **error)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    bool ok = true;
    while (ok && logical_line_next(&reader, &line)) {
        struct slice name, value;
        const char *why = "logical line must not start with whitespace";
        ok = !line.starts_with_space && logical_line_split_setting(str_slice(&line.text), &name, &value, &why);
        if (ok)
            put_setting(db, name, value);
        else
            *error = mem_printf("%s, line %u: %s: \"%.40s\"", db->path, line.first_line, why,
                                str_text(&line.text));
    }
    str_free(&line.text);
    return ok;
}

static bool read_settings(struct db_config *db, char **error)
{
    struct str text = STR_EMPTY;
    db->stamp = file_stamp_get(db->path);
    bool ok = config_read_file(db->path, &text);
    if (!ok)
        *error = mem_printf("open %s: %s", db->path, strerror(errno));
    else
        ok = parse_settings(db, str_slice(&text), error);
    if (text.data != NULL)
        mem_wipe(text.data, text.cap);
    str_free(&text);
    return ok;
}

const char *db_config_get(const struct db_config *db, const char *parameter, const char *fallback)
{
    if (db->path == NULL) {
        char *name = arena_printf(db->arena, "%s_%s", db->name, parameter);
        const char *value = config_string_or_null(db->main_config, name);
        return value != NULL ? value : fallback;
    }
    for (size_t i = db->setting_count; i > 0; i--) /* the last one written counts */
        if (strcmp(db->settings[i - 1].name, parameter) == 0)
            return db->settings[i - 1].value;
    return fallback;
}

/* The parameters from before there was "query". */
static char *legacy_query(const struct db_config *db, char **error)
{
    const char *function = db_config_get(db, "select_function", NULL);
    const char *field = db_config_get(db, "select_field", NULL);
    const char *table = db_config_get(db, "table", NULL);
    const char *where = db_config_get(db, "where_field", NULL);
    if (function != NULL && *function != '\0')
        return arena_printf(db->arena, "SELECT %s('%%s')", function);
    if (field != NULL && table != NULL && where != NULL)
        return arena_printf(db->arena, "SELECT %s FROM %s WHERE %s = '%%s' %s", field, table, where,
                            db_config_get(db, "additional_conditions", ""));
    *error = mem_printf("%s: needs \"query\", or select_field, table and where_field", db->spec);
    return NULL;
}

bool db_config_number(const struct db_config *db, const char *parameter, int64_t fallback, int64_t lowest, int64_t *number,
                      char **error)
{
    const char *text = db_config_get(db, parameter, "");
    uint64_t value;
    *number = fallback;
    if (*text == '\0')
        return true;
    if (slice_to_u64(slice_of(text), &value) && value <= INT32_MAX && (int64_t)value >= lowest) {
        *number = (int64_t)value;
        return true;
    }
    *error = mem_printf("%s: bad numerical configuration: %s = %s", db->spec, parameter, text);
    return false;
}

bool db_config_bool(const struct db_config *db, const char *parameter, bool fallback, bool *yes, char **error)
{
    const char *text = db_config_get(db, parameter, "");
    *yes = *text == '\0' ? fallback : text_equal_nocase(text, "yes");
    if (*text == '\0' || *yes || text_equal_nocase(text, "no"))
        return true;
    *error = mem_printf("%s: bad boolean configuration: %s = %s", db->spec, parameter, text);
    return false;
}

static bool interpret_sql(struct db_config *db, char **error)
{
    const char *query = db_config_get(db, "query", "");
    db->result_format = arena_strdup(db->arena, db_config_get(db, "result_format", "%s"));
    db->query = *query != '\0' ? arena_strdup(db->arena, query) : legacy_query(db, error);
    return db->query != NULL;
}

static bool interpret_ldap(struct db_config *db, char **error)
{
    const char *format = db_config_get(db, "result_format", NULL);
    if (format == NULL)
        format = db_config_get(db, "result_filter", "%s"); /* its name before Postfix 2.2 */
    db->result_format = arena_strdup(db->arena, format);
    db->query = arena_strdup(db->arena, db_config_get(db, "query_filter", "(mailacceptinggeneralid=%s)"));
    db->search_base = arena_strdup(db->arena, db_config_get(db, "search_base", ""));
    db->base_needs = db_template_needs(db->search_base, false);
    if (*db->query != '\0')
        return true;
    *error = mem_printf("%s: query_filter is empty", db->spec);
    return false;
}

static bool check_template(const struct db_config *db, const char *what, const char *template, char **error)
{
    if (template == NULL || db_template_is_valid(template))
        return true;
    *error = mem_printf("%s: Invalid %s template: %s", db->spec, what, template);
    return false;
}

static bool interpret(struct db_config *db, char **error)
{
    const char *domain = db_config_get(db, "domain", "");
    bool is_ldap = strncmp(db->spec, "ldap:", 5) == 0;
    if (!db_config_number(db, "expansion_limit", 0, 0, &db->expansion_limit, error) ||
        !(is_ldap ? interpret_ldap(db, error) : interpret_sql(db, error)) ||
        !check_template(db, "query", db->query, error) || !check_template(db, "query", db->search_base, error) ||
        !check_template(db, "result", db->result_format, error))
        return false;
    db->query_needs = db_template_needs(db->query, false);
    db->result_needs = db_template_needs(db->result_format, true);
    /* A key that lacks what the result format wants of it is not worth a query. */
    db->query_needs |= db->result_needs & db_template_needs("%U%D", true);
    if (*domain != '\0')
        db->domain = match_list_open(db->spec, domain, MATCH_STRING, db->main_config);
    return true;
}

struct db_config *db_config_open(const char *type, const char *name, const struct config *config, char **error)
{
    struct db_config *db = mem_alloc(sizeof *db);
    db->arena = arena_new();
    db->spec = arena_printf(db->arena, "%s:%s", type, name);
    db->name = arena_strdup(db->arena, name);
    db->main_config = config;
    bool is_path = name[0] == '/' || name[0] == '.';
    db->path = is_path ? arena_strdup(db->arena, name) : NULL;
    if ((!is_path || read_settings(db, error)) && interpret(db, error))
        return db;
    db_config_close(db);
    return NULL;
}

void db_config_close(struct db_config *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < db->setting_count; i++)
        if (strcmp(db->settings[i].name, "password") == 0 || strcmp(db->settings[i].name, "bind_pw") == 0)
            mem_wipe((char *)(uintptr_t)db->settings[i].value, strlen(db->settings[i].value));
    match_list_close(db->domain);
    arena_free(db->arena);
    free(db);
}

bool db_config_is_stale(const struct db_config *db)
{
    if (db->path == NULL)
        return false;
    struct file_stamp now = file_stamp_get(db->path);
    return now.exists && !file_stamp_equal(now, db->stamp) && file_stamp_is_settled(now);
}

enum table_status db_config_wants(struct db_config *db, struct slice key, int64_t deadline)
{
    if (db->domain == NULL)
        return TABLE_FOUND;
    const char *at = key.len > 0 ? memrchr(key.data, '@', key.len) : NULL;
    if (at == NULL || at == key.data)
        return TABLE_NOT_FOUND;
    struct slice domain = slice_skip(key, (size_t)(at - key.data) + 1);
    if (domain.len == 0)
        return TABLE_NOT_FOUND;
    switch (match_list_find(db->domain, domain, deadline)) {
    case MATCH_YES: return TABLE_FOUND;
    case MATCH_NO: return TABLE_NOT_FOUND;
    default: return TABLE_ERROR;
    }
}

bool db_config_add_result(const struct db_config *db, struct slice key, struct slice value, int64_t *count,
                           struct str *answer)
{
    struct str one = STR_EMPTY;
    if (value.len == 0)
        log_warning("table \"%s\": empty lookup result for: \"%.*s\" -- ignored", db->spec, SLICE_ARGS(key));
    bool expanded = db_expand_result(db->result_format, db->result_needs, value, key, &one) == DB_EXPANDED;
    if (expanded && db->expansion_limit > 0 && ++*count > db->expansion_limit) {
        log_warning("%s: Expansion limit exceeded for key: '%.*s'", db->spec, SLICE_ARGS(key));
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
