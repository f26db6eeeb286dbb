/* SPDX-License-Identifier: ISC */
/*
 * pgsql_host: connecting to one PostgreSQL server without ever blocking the loop. libpq resolves host names
 * itself, and blocks on it; so names are resolved here and libpq gets addresses. Called by pgsql_pool.c.
 */
#include "common/table/pgsql_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/table/host_resolve.h"

#define MAX_KEYWORDS 48

struct keywords {
    const char *names[MAX_KEYWORDS], *values[MAX_KEYWORDS];
    size_t count;
    struct arena *arena;
};

static void add_keyword(struct keywords *keywords, const char *name, const char *value)
{
    if (value == NULL || *value == '\0' || keywords->count + 1 >= MAX_KEYWORDS)
        return;
    for (size_t i = 0; i < keywords->count; i++)
        if (strcmp(keywords->names[i], name) == 0)
            return; /* the first one counts */
    keywords->names[keywords->count] = name;
    keywords->values[keywords->count++] = value;
    keywords->names[keywords->count] = keywords->values[keywords->count] = NULL;
}

static const char *find_keyword(const struct keywords *keywords, const char *name)
{
    for (size_t i = 0; i < keywords->count; i++)
        if (strcmp(keywords->names[i], name) == 0)
            return keywords->values[i];
    return NULL;
}

static bool add_uri(struct keywords *keywords, const char *uri, char **error)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &why);
    if (options == NULL) {
        *error = mem_printf("bad connection URI: %s", why != NULL ? why : "");
        PQfreemem(why);
        return false;
    }
    for (PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (option->val != NULL)
            add_keyword(keywords, arena_strdup(keywords->arena, option->keyword),
                        arena_strdup(keywords->arena, option->val));
    PQconninfoFree(options);
    return true;
}

/* hostaddr= beside host=: libpq then resolves nothing, and still checks certificates against the name. */
static bool add_addresses(struct keywords *keywords, int64_t deadline, char **error)
{
    const char *host = find_keyword(keywords, "host"), *port = find_keyword(keywords, "port");
    if (host == NULL || host[0] == '/' || host[0] == '@' || strchr(host, ',') != NULL ||
        find_keyword(keywords, "hostaddr") != NULL)
        return true;
    struct host_addresses addresses;
    const char *why = host_resolve(host, port != NULL ? port : "5432", &addresses, deadline);
    if (why != NULL) {
        *error = mem_printf("could not translate host name \"%s\" to address: %s", host, why);
        return false;
    }
    struct str list = STR_EMPTY, names = STR_EMPTY;
    for (size_t i = 0; i < addresses.count; i++) {
        char text[HOST_TEXT_SIZE];
        host_address_text(&addresses.list[i], text);
        str_printf(&list, "%s%s", i > 0 ? "," : "", text);
        str_printf(&names, "%s%s", i > 0 ? "," : "", host);
    }
    for (size_t i = 0; i < keywords->count; i++)
        if (strcmp(keywords->names[i], "host") == 0)
            keywords->values[i] = arena_slice(keywords->arena, str_slice(&names));
    add_keyword(keywords, "hostaddr", arena_slice(keywords->arena, str_slice(&list)));
    str_free(&list);
    str_free(&names);
    return true;
}

static void quiet(void *context UNUSED, const char *message UNUSED)
{
}

/* libpq may change its socket from one step to the next, so each wait watches a fresh copy. */
static enum wait_status wait_for_step(PGconn *connection, PostgresPollingStatusType step, int64_t deadline)
{
    struct fiber_fd handle;
    int copy = fcntl(PQsocket(connection), F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return WAIT_TIMEOUT;
    fiber_fd_init(&handle, copy);
    enum wait_status status =
        fiber_wait_fd(&handle, step == PGRES_POLLING_READING ? FIBER_READ : FIBER_WRITE, deadline);
    fiber_fd_close(&handle);
    return status;
}

static bool finish_connecting(PGconn *connection, int64_t deadline, char **error)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK) {
        if (step == PGRES_POLLING_FAILED) {
            *error = mem_strdup(PQerrorMessage(connection));
            return false;
        }
        if (wait_for_step(connection, step, deadline) != WAIT_OK) {
            *error = mem_strdup("Connection timed out");
            return false;
        }
        step = PQconnectPoll(connection);
    }
    return true;
}

PGconn *pgsql_host_connect(const struct server_host *host, const struct pgsql_parameters *parameters,
                           int64_t deadline, char **error)
{
    struct keywords keywords = {.arena = arena_new()};
    PGconn *connection = NULL;
    bool ok = true;
    if (host->is_uri) {
        ok = add_uri(&keywords, host->text, error);
    } else {
        add_keyword(&keywords, "host", host->name);
        add_keyword(&keywords, "port", host->port);
        add_keyword(&keywords, "dbname", parameters->database);
        add_keyword(&keywords, "user", parameters->user);
        add_keyword(&keywords, "password", parameters->password);
    }
    add_keyword(&keywords, "client_encoding", parameters->encoding);
    add_keyword(&keywords, "fallback_application_name", "posthorn");
    if (ok && add_addresses(&keywords, deadline, error)) {
        connection = PQconnectStartParams(keywords.names, keywords.values, 0);
        if (connection == NULL)
            mem_exhausted(0);
        PQsetNoticeProcessor(connection, quiet, NULL);
        if (PQstatus(connection) == CONNECTION_BAD)
            *error = mem_strdup(PQerrorMessage(connection));
        else if (finish_connecting(connection, deadline, error) && PQsetnonblocking(connection, 1) < 0)
            *error = mem_strdup(PQerrorMessage(connection));
    }
    if (connection != NULL && *error != NULL) {
        PQfinish(connection);
        connection = NULL;
    }
    arena_free(keywords.arena);
    return connection;
}
