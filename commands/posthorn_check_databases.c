/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_databases: the .cf files of pgsql:, mysql:, sqlite: and ldap: tables, line by line: names that mean nothing, what is
 * missing, a query that lets a stranger's address out of its quotes. Called by posthorn_check_tables.c for each such file; asks
 * no database. (Passwords that everybody can read: posthorn_check_rights.c.)
 */
#include "commands/posthorn_check.h"
#include "common/config/logical_line.h"
#include "common/config/main_cf.h"

static const struct check_advice unknown_setting = {
    "database-setting-unknown", CHECK_WARNING,
    "This kind of table has no such setting, so the line has no effect. A misspelt name leaves the default in force.",
    "Correct the name, or take the line out."};
static const struct check_advice bad_line = {
    "database-file-syntax", CHECK_ERROR, "The file cannot be read to its end: every look-up in the table fails.",
    "Write name = value; a line that begins with white space continues the one before."};
static const struct check_advice no_query = {
    "database-query-missing", CHECK_ERROR, "Without it there is nothing to ask: every look-up in the table fails.",
    "Add a query, or the older select_field, table and where_field."};
static const struct check_advice no_base = {
    "ldap-search-base-missing", CHECK_WARNING, "The search begins at the root of the directory, where most servers hold nothing.",
    "Add search_base."};
static const struct check_advice quoted = {
    "database-value-in-quotes", CHECK_WARNING, "The quotes become part of the value, and the query or filter fails.",
    "Take the quotes around the whole value away."};
static const struct check_advice unquoted_key = {
    "database-key-unquoted", CHECK_ERROR,
    "What a stranger writes as an address is escaped for a text in quotes. Outside of quotes it becomes part of the query.",
    "Write '%s' in quotes; the same for %u, %d and the others."};
#define SQL_NAMES "dbname query select_field table where_field additional_conditions result_format domain expansion_limit"

static const struct {
    const char *type, *names;
    bool is_sql;
} types[] = {
    {"pgsql", SQL_NAMES " hosts user password encoding retry_interval idle_interval select_function", true},
    {"mysql", SQL_NAMES " hosts user password charset option_file option_group require_result_set retry_interval idle_interval"
              " tls_key_file tls_cert_file tls_CAfile tls_CApath tls_ciphers tls_verify_cert", true},
    {"sqlite", "dbpath " SQL_NAMES, true},
    {"ldap", "server_host server_port timeout search_base query_filter result_format result_filter domain result_attribute"
             " special_result_attribute terminal_result_attribute leaf_result_attribute scope bind bind_dn bind_pw cache"
             " cache_expiry cache_size recursion_limit expansion_limit size_limit dereference chase_referrals version debuglevel"
             " sasl_mechs sasl_realm sasl_authz_id sasl_minssf start_tls tls_ca_cert_dir tls_ca_cert_file tls_cert tls_key"
             " tls_require_cert tls_random_file tls_cipher_suite", false},
};

struct database_file {
    struct check *check;
    const char *spec, *path;
    const char *names;
    bool is_sql;
    bool has_query, has_field, has_table, has_where, has_function, has_base;
};

static bool is_name_of(const char *names, struct slice name)
{
    struct slice rest = slice_of(names), word;
    while (slice_next_token(&rest, " ", &word))
        if (slice_equal(word, name))
            return true;
    return false;
}

/* The first value that stands outside of quotes; NULL when there is none. */
static const char *find_unquoted(struct slice query)
{
    char quote = '\0';
    for (size_t i = 0; i < query.len; i++) {
        char c = query.data[i];
        if (quote == '\0' && (c == '\'' || c == '"'))
            quote = c;
        else if (c == quote)
            quote = '\0';
        else if (c == '%' && i + 1 < query.len && query.data[++i] != '%' && quote == '\0' &&
                 memchr("sudSUD123456789", query.data[i], 15) != NULL)
            return query.data + i - 1;
    }
    return NULL;
}

static void check_value_of(const struct database_file *file, struct config_origin where, struct slice name, struct slice value)
{
    bool is_query = slice_equal(name, SLICE("query"));
    bool is_template = is_query || slice_equal(name, SLICE("query_filter")) || slice_equal(name, SLICE("result_format"));
    if (is_template && value.len > 1 && value.data[0] == '"' && value.data[value.len - 1] == '"')
        check_report(file->check, &quoted, where, "%s: quotes around the value of %.*s", file->spec, SLICE_ARGS(name));
    else if (is_query && file->is_sql && find_unquoted(value) != NULL)
        check_report(file->check, &unquoted_key, where, "%s: %.2s stands outside of quotes in the query", file->spec,
                     find_unquoted(value));
}

static void note_setting(struct database_file *file, struct slice name)
{
    file->has_query = file->has_query || slice_equal(name, SLICE("query"));
    file->has_field = file->has_field || slice_equal(name, SLICE("select_field"));
    file->has_table = file->has_table || slice_equal(name, SLICE("table"));
    file->has_where = file->has_where || slice_equal(name, SLICE("where_field"));
    file->has_function = file->has_function || slice_equal(name, SLICE("select_function"));
    file->has_base = file->has_base || slice_equal(name, SLICE("search_base"));
}

static bool check_lines(struct database_file *file, struct slice text)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    bool ok = true;
    while (ok && logical_line_next(&reader, &line)) {
        struct slice name, value;
        struct config_origin where = {file->path, line.first_line};
        const char *why = "a line that begins with white space continues nothing";
        ok = !line.starts_with_space && logical_line_split_setting(str_slice(&line.text), &name, &value, &why);
        if (!ok)
            check_report(file->check, &bad_line, where, "%s: %s", file->spec, why);
        else if (!is_name_of(file->names, name))
            check_report(file->check, &unknown_setting, where, "%s: there is no setting \"%.*s\"", file->spec, SLICE_ARGS(name));
        else if (value.len > 0)
            note_setting(file, name);
        if (ok)
            check_value_of(file, where, name, value);
    }
    str_free(&line.text);
    return ok;
}

static void check_whole(const struct database_file *file)
{
    struct config_origin first = {file->path, 1};
    bool legacy = (file->has_field && file->has_table && file->has_where) || file->has_function;
    if (file->is_sql && !file->has_query && !legacy)
        check_report(file->check, &no_query, first, "%s has no query", file->spec);
    if (!file->is_sql && !file->has_base)
        check_report(file->check, &no_base, first, "%s has no search_base", file->spec);
}

void check_database_file(struct check *check, struct slice type, const char *spec, const char *path)
{
    struct database_file file = {.check = check, .spec = spec, .path = path};
    struct str text = STR_EMPTY;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (slice_equal(type, slice_of(types[i].type))) {
            file.names = types[i].names;
            file.is_sql = types[i].is_sql;
        }
    }
    /* A file that cannot be read has been reported. */
    if (file.names != NULL && config_read_file(path, &text) && check_lines(&file, str_slice(&text)))
        check_whole(&file);
    str_free(&text);
}
