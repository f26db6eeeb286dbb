/* SPDX-License-Identifier: ISC */
/*
 * pgsql:/etc/postfix/x.cf -- pgsql_table(5). Each lookup is a query on a pooled connection; the fiber waits, the loop
 * goes on. What comes from strangers is escaped by libpq in the connection's encoding. A connection that was
 * lost while idle (the server restarted) is replaced and the query repeated once; a server that cannot be
 * reached, a failing query and a passed deadline are TABLE_ERROR; after a deadline the server is told to stop.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/libpq.h"
#include "common/table/pgsql_pool.h"
#include "common/table/db_config.h"
#include "common/table/table_types.h"
#include "common/table/utf8.h"

struct pgsql_table {
    struct db_config *sql;
    struct pgsql_pool *pool;
    bool has_escape_strings; /* the query has E'...' */
};

/*
 * In E'%s' a backslash escapes, and libpq's quoting, made for plain strings, leaves it alone: "\' OR true --" would break
 * out. Such queries get backslashes doubled as well.
 */
static bool has_escape_strings(const char *query)
{
    for (const char *c = query; *c != '\0'; c++)
        if ((*c == 'E' || *c == 'e') && c[1] == '\'' && (c == query || !text_is_alnum(c[-1])))
            return true;
    return false;
}

static bool get_seconds(const struct db_config *sql, const char *name, int64_t *seconds, char **error)
{
    const char *text = db_config_get(sql, name, "60");
    if (config_parse_seconds(text, 's', seconds) && *seconds >= 1)
        return true;
    *error = mem_printf("%s: bad time value: %s = %s", sql->spec, name, text);
    return false;
}

static void *pgsql_open(const char *name, const struct config *config, unsigned flags UNUSED, char **error)
{
    struct db_config *sql = libpq_load(error) ? db_config_open("pgsql", name, config, error) : NULL;
    if (sql == NULL)
        return NULL;
    struct pgsql_parameters parameters = {
        .hosts = db_config_get(sql, "hosts", ""),
        .user = db_config_get(sql, "user", ""),
        .password = db_config_get(sql, "password", ""),
        .database = db_config_get(sql, "dbname", ""),
        .encoding = db_config_get(sql, "encoding", "UTF8"),
    };
    if (!get_seconds(sql, "retry_interval", &parameters.retry_interval, error) ||
        !get_seconds(sql, "idle_interval", &parameters.idle_interval, error)) {
        db_config_close(sql);
        return NULL;
    }
    struct pgsql_table *table = mem_alloc(sizeof *table);
    table->sql = sql;
    table->has_escape_strings = has_escape_strings(sql->query);
    table->pool = pgsql_pool_open(&parameters);
    return table;
}

static void pgsql_close(void *data)
{
    struct pgsql_table *table = data;
    pgsql_pool_close(table->pool);
    db_config_close(table->sql);
    free(table);
}

static bool pgsql_is_stale(void *data)
{
    struct pgsql_table *table = data;
    return db_config_is_stale(table->sql);
}

/* --- one query --------------------------------------------------------------------- */

enum query_status { QUERY_DONE, QUERY_LOST, QUERY_FAILED, QUERY_TIMEOUT };

static bool escape_text(void *context, struct slice text, struct str *out)
{
    int failed = 0;
    str_reserve(out, text.len * 2 + 1);
    out->len += PQescapeStringConn(context, out->data + out->len, text.data != NULL ? text.data : "", text.len,
                                   &failed);
    out->data[out->len] = '\0';
    return failed == 0;
}

static bool escape_text_and_backslashes(void *context, struct slice text, struct str *out)
{
    struct str doubled = STR_EMPTY;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\')
            str_append_char(&doubled, '\\');
        str_append_char(&doubled, text.data[i]);
    }
    bool ok = escape_text(context, str_slice(&doubled), out);
    str_free(&doubled);
    return ok;
}

static enum query_status send_query(struct pgsql_connection *connection, const char *query, int64_t deadline)
{
    PGconn *handle = pgsql_connection_handle(connection);
    if (!PQsendQuery(handle, query))
        return QUERY_LOST;
    for (;;) {
        int left = PQflush(handle);
        if (left < 0)
            return QUERY_LOST;
        if (left == 0)
            return QUERY_DONE;
        if (pgsql_connection_wait(connection, FIBER_WRITE, deadline) != WAIT_OK)
            return QUERY_TIMEOUT;
    }
}

/*
 * Waits for more of the answer. libpq reads a buffer's worth at a time, and what it left in the kernel will not be
 * reported again: look there before waiting for something new.
 */
static bool wait_for_more(struct pgsql_connection *connection, bool look_first, int64_t deadline)
{
    struct pollfd socket = {.fd = PQsocket(pgsql_connection_handle(connection)), .events = POLLIN};
    if (look_first && poll(&socket, 1, 0) > 0)
        return true;
    return pgsql_connection_wait(connection, FIBER_READ, deadline) == WAIT_OK;
}

/* All results of the query; the last one counts. */
static enum query_status read_result(struct pgsql_connection *connection, PGresult **result, int64_t deadline)
{
    PGconn *handle = pgsql_connection_handle(connection);
    bool has_read = false;
    *result = NULL;
    for (;;) {
        while (PQisBusy(handle)) {
            if (!wait_for_more(connection, has_read, deadline))
                return QUERY_TIMEOUT;
            if (!PQconsumeInput(handle))
                return QUERY_LOST;
            has_read = true;
        }
        PGresult *next = PQgetResult(handle);
        if (next == NULL)
            return PQstatus(handle) == CONNECTION_BAD ? QUERY_LOST : QUERY_DONE;
        PQclear(*result);
        *result = next;
    }
}

/* The server is going away ("terminating connection due to administrator command") or not there yet. */
static bool server_ends(const PGresult *result)
{
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    return state != NULL && strncmp(state, "57P", 3) == 0;
}

static enum query_status run_query(struct pgsql_connection *connection, const char *query, PGresult **result,
                                   int64_t deadline)
{
    *result = NULL;
    enum query_status status = send_query(connection, query, deadline);
    if (status == QUERY_DONE)
        status = read_result(connection, result, deadline);
    if (status != QUERY_TIMEOUT && server_ends(*result))
        return QUERY_LOST;
    if (status == QUERY_DONE && PQresultStatus(*result) != PGRES_TUPLES_OK)
        return QUERY_FAILED;
    return status;
}

static void explain_failure(const struct pgsql_table *table, struct pgsql_connection *connection,
                            enum query_status status, const PGresult *result)
{
    const char *host = pgsql_connection_host(connection);
    const char *said = status == QUERY_TIMEOUT ? "timeout"
                       : result != NULL && *PQresultErrorMessage(result) != '\0'
                           ? PQresultErrorMessage(result)
                           : PQerrorMessage(pgsql_connection_handle(connection));
    struct slice text = slice_trim(slice_of(said));
    if (text.len == 0)
        text = SLICE("the query gives no rows: not a SELECT?");
    log_warning("pgsql query failed: fatal error from host %s: %.*s (%s)", host, SLICE_ARGS(text),
                table->sql->spec);
}

/* --- a lookup ------------------------------------------------------------------------ */

static enum table_status collect(const struct pgsql_table *table, const PGresult *result, struct slice key,
                                 struct str *answer)
{
    int64_t count = 0;
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < PQnfields(result); column++) {
            struct slice value = slice_range(PQgetvalue(result, row, column),
                                             (size_t)PQgetlength(result, row, column));
            if (!PQgetisnull(result, row, column) &&
                !db_config_add_result(table->sql, key, value, &count, answer))
                return TABLE_ERROR;
        }
    }
    return answer->len > 0 ? TABLE_FOUND : TABLE_NOT_FOUND;
}

/* One connection's try. True: *status is the answer. False: that connection was stale, try another. */
static bool try_lookup(struct pgsql_table *table, struct slice key, struct str *answer, enum table_status *status,
                       int64_t deadline)
{
    struct str query = STR_EMPTY;
    PGresult *result = NULL;
    *status = TABLE_ERROR;
    struct pgsql_connection *connection = pgsql_pool_take(table->pool, deadline);
    if (connection == NULL)
        return true;
    PGconn *handle = pgsql_connection_handle(connection);
    bool was_used = pgsql_connection_was_used(connection);
    db_quote *quote = table->has_escape_strings ? escape_text_and_backslashes : escape_text;
    if (db_expand_query(table->sql->query, table->sql->query_needs, key, quote, handle, &query) != DB_EXPANDED) {
        log_warning("%s: (host %s) cannot escape input string: %s", table->sql->spec,
                    pgsql_connection_host(connection), PQerrorMessage(handle));
        pgsql_pool_give(table->pool, connection, false);
        str_free(&query);
        return true;
    }
    enum query_status done = run_query(connection, str_text(&query), &result, deadline);
    bool again = done == QUERY_LOST && was_used;
    if (done == QUERY_DONE)
        *status = collect(table, result, key, answer);
    else if (!again)
        explain_failure(table, connection, done, result);
    if (done == QUERY_LOST)
        pgsql_pool_drop_idle(table->pool);
    else if (done == QUERY_TIMEOUT)
        pgsql_cancel_query(handle);
    pgsql_pool_give(table->pool, connection, done == QUERY_LOST || done == QUERY_TIMEOUT);
    PQclear(result);
    str_free(&query);
    return !again;
}

static enum table_status pgsql_find(void *data, struct slice key, struct str *value, char **error UNUSED,
                                    int64_t deadline)
{
    struct pgsql_table *table = data;
    struct str answer = STR_EMPTY;
    /* No stored key can be malformed UTF-8 or hold a NUL: Postfix does not even ask. */
    if (!utf8_is_valid(key) || memchr(key.data != NULL ? key.data : "", '\0', key.len) != NULL)
        return TABLE_NOT_FOUND;
    enum table_status status = db_config_wants(table->sql, key, deadline);
    if (status != TABLE_FOUND)
        return status;
    if (!db_key_suffices(table->sql->query_needs, key))
        return TABLE_NOT_FOUND;
    while (!try_lookup(table, key, &answer, &status, deadline))
        str_clear(&answer);
    if (status == TABLE_FOUND)
        str_append_slice(value, str_slice(&answer));
    str_free(&answer);
    return status;
}

const struct table_type table_pgsql = {
    .name = "pgsql", .waits = true, .open = pgsql_open, .close = pgsql_close, .find = pgsql_find,
    .is_stale = pgsql_is_stale,
};
