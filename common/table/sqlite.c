/* SPDX-License-Identifier: ISC */
/*
 * sqlite:/etc/postfix/x.cf -- sqlite_table(5). The database is opened for reading only. Where a query's values stand
 * alone in quotes ('%s') they are bound and the statement is prepared once; elsewhere they are quoted as Postfix
 * does. Blocks for as long as the local file takes, and at most BUSY_TIMEOUT_MS for a writer.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/db_config.h"
#include "common/table/table_types.h"

#define BUSY_TIMEOUT_MS 500
#define MAX_BOUND 16

struct sqlite_table {
    struct db_config *sql;
    char *path;
    struct file_stamp stamp;
    sqlite3 *db;
    sqlite3_stmt *statement;  /* NULL: the query is put together for each lookup */
    char bound[MAX_BOUND];    /* the letters of its parameters */
    int bound_count;
};

static void sqlite_close_table(void *data)
{
    struct sqlite_table *table = data;
    sqlite3_finalize(table->statement);
    sqlite3_close(table->db);
    db_config_close(table->sql);
    free(table->path);
    free(table);
}

/* '%s' becomes a parameter. False when some value stands otherwise: then all are quoted. */
static bool make_bound_query(struct sqlite_table *table, struct str *query)
{
    for (const char *c = table->sql->query; *c != '\0'; c++) {
        if (c[0] == '\'' && c[1] == '%' && c[2] != '\0' && c[2] != '%' && c[3] == '\'' &&
            table->bound_count < MAX_BOUND) {
            table->bound[table->bound_count++] = c[2];
            str_printf(query, "?%d", table->bound_count);
            c += 3;
        } else if (*c == '\'' || (*c == '%' && c[1] != '%')) {
            return false; /* a literal or another use: the pieces cannot be told apart here */
        } else {
            if (*c == '%')
                c++;
            str_append_char(query, *c);
        }
    }
    return true;
}

static void prepare_once(struct sqlite_table *table)
{
    struct str query = STR_EMPTY;
    if (make_bound_query(table, &query) &&
        sqlite3_prepare_v2(table->db, str_text(&query), -1, &table->statement, NULL) != SQLITE_OK)
        table->statement = NULL; /* a missing SQL table may come: each lookup will say so until then */
    str_free(&query);
}

static void *sqlite_open_table(const char *name, const struct config *config, unsigned flags UNUSED, char **error)
{
    struct db_config *sql = db_config_open("sqlite", name, config, error);
    if (sql == NULL)
        return NULL;
    struct sqlite_table *table = mem_alloc(sizeof *table);
    table->sql = sql;
    table->path = mem_strdup(db_config_get(sql, "dbpath", ""));
    table->stamp = file_stamp_get(table->path);
    int code = sqlite3_open_v2(table->path, &table->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(table->db, BUSY_TIMEOUT_MS);
        prepare_once(table);
        return table;
    }
    *error = mem_printf("%s: can't open database %s: %s", sql->spec, table->path,
                        table->db != NULL ? sqlite3_errmsg(table->db) : sqlite3_errstr(code));
    sqlite_close_table(table);
    return NULL;
}

/* Writes to a database are seen anyway; another file under its name is not. */
static bool sqlite_is_stale(void *data)
{
    struct sqlite_table *table = data;
    struct file_stamp now = file_stamp_get(table->path);
    bool replaced = now.exists && (now.inode != table->stamp.inode || now.device != table->stamp.device);
    return replaced || db_config_is_stale(table->sql);
}

static bool quote_text(void *context UNUSED, struct slice text, struct str *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0')
            return false;
        if (text.data[i] == '\'')
            str_append_char(out, '\'');
        str_append_char(out, text.data[i]);
    }
    return true;
}

static enum db_expansion bind_values(struct sqlite_table *table, struct slice key)
{
    enum db_expansion status = DB_EXPANDED;
    for (int i = 0; status == DB_EXPANDED && i < table->bound_count; i++) {
        struct str value = STR_EMPTY;
        char one[3] = {'%', table->bound[i], '\0'};
        /* Unquoted, as a result would be: a bound value goes as it is. */
        status = db_expand_result(one, table->sql->query_needs, key, key, &value);
        if (status == DB_EXPANDED && sqlite3_bind_text(table->statement, i + 1, str_text(&value), (int)value.len,
                                                        SQLITE_TRANSIENT) != SQLITE_OK)
            status = DB_UNQUOTABLE;
        str_free(&value);
    }
    return status;
}

static enum db_expansion make_statement(struct sqlite_table *table, struct slice key, sqlite3_stmt **statement,
                                         char **error)
{
    if (table->statement == NULL)
        prepare_once(table);
    *statement = table->statement;
    if (table->statement != NULL)
        return bind_values(table, key);
    struct str query = STR_EMPTY;
    enum db_expansion status =
        db_expand_query(table->sql->query, table->sql->query_needs, key, quote_text, NULL, &query);
    if (status == DB_EXPANDED && sqlite3_prepare_v2(table->db, str_text(&query), -1, statement, NULL) != SQLITE_OK) {
        *error = mem_printf("%s: SQL prepare failed: %s", table->sql->spec, sqlite3_errmsg(table->db));
        status = DB_UNQUOTABLE;
    }
    str_free(&query);
    return status;
}

static enum table_status collect_rows(struct sqlite_table *table, sqlite3_stmt *statement, struct slice key,
                                      struct str *answer, char **error)
{
    int64_t count = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        /* The first column only, as in Postfix; of other servers' rows it takes all. */
        const unsigned char *text = sqlite3_column_text(statement, 0);
        if (text != NULL && !db_config_add_result(table->sql, key, slice_of((const char *)text), &count, answer))
            return TABLE_ERROR;
    }
    if (code != SQLITE_DONE) {
        *error = mem_printf("%s: SQL step failed: %s", table->sql->spec, sqlite3_errmsg(table->db));
        return TABLE_ERROR;
    }
    return answer->len > 0 ? TABLE_FOUND : TABLE_NOT_FOUND;
}

static enum table_status sqlite_find(void *data, struct slice key, struct str *value, char **error,
                                     int64_t deadline)
{
    struct sqlite_table *table = data;
    sqlite3_stmt *statement = NULL;
    struct str answer = STR_EMPTY;
    enum table_status status = db_config_wants(table->sql, key, deadline);
    if (status != TABLE_FOUND)
        return status;
    enum db_expansion expansion = make_statement(table, key, &statement, error);
    status = expansion == DB_SKIPPED ? TABLE_NOT_FOUND : TABLE_ERROR;
    if (expansion == DB_EXPANDED)
        status = collect_rows(table, statement, key, &answer, error);
    if (status == TABLE_FOUND)
        str_append_slice(value, str_slice(&answer));
    if (statement == table->statement && statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    } else {
        sqlite3_finalize(statement);
    }
    str_free(&answer);
    return status;
}

const struct table_type table_sqlite = {
    .name = "sqlite", .open = sqlite_open_table, .close = sqlite_close_table, .find = sqlite_find,
    .is_stale = sqlite_is_stale,
};
