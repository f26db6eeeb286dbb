/* SPDX-License-Identifier: ISC */
/*
 * pgsql_pool: who gets which connection, and which host is tried when. Called by pgsql.c on the fibers of
 * lookups. Which host is tried is decided by server_hosts.c.
 */
#include "common/table/pgsql_pool.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/pgsql_host.h"

#define POOL_MAX_CONNECTIONS 8
#define CONNECT_TIMEOUT_MS 5000

struct pgsql_connection {
    PGconn *handle;
    struct server_host *host;
    struct fiber_fd fd; /* a copy of libpq's socket: libpq closes its own */
    bool used;
    int64_t idle_since;
    TAILQ_ENTRY(pgsql_connection) link;
};

struct pool_waiter {
    struct fiber_cond cond;
    struct pgsql_connection *given;
    TAILQ_ENTRY(pool_waiter) link;
};

struct pgsql_pool {
    char *key;
    struct arena *arena;
    struct pgsql_parameters parameters;
    struct server_hosts hosts;
    size_t connections; /* idle, in use and being made */
    TAILQ_HEAD(pgsql_idle_list, pgsql_connection) idle; /* the most recently used first */
    TAILQ_HEAD(, pool_waiter) waiters;
    struct event *idle_timer; /* NULL until a fiber leaves a connection idle */
    unsigned references;
    LIST_ENTRY(pgsql_pool) link;
};

static LIST_HEAD(, pgsql_pool) pools = LIST_HEAD_INITIALIZER(pools);

/* --- opening ---------------------------------------------------------------------- */

struct pgsql_pool *pgsql_pool_open(const struct pgsql_parameters *parameters)
{
    char *key = mem_printf("%s\n%s\n%s\n%s\n%s\n%lld %lld", parameters->hosts, parameters->user, parameters->password,
                           parameters->database, parameters->encoding, (long long)parameters->retry_interval,
                           (long long)parameters->idle_interval);
    struct pgsql_pool *pool;
    LIST_FOREACH(pool, &pools, link) {
        if (strcmp(pool->key, key) == 0) {
            mem_wipe(key, strlen(key));
            free(key);
            pool->references++;
            return pool;
        }
    }
    pool = mem_alloc(sizeof *pool);
    pool->key = key;
    pool->arena = arena_new();
    pool->references = 1;
    TAILQ_INIT(&pool->idle);
    TAILQ_INIT(&pool->waiters);
    pool->parameters = *parameters;
    pool->parameters.user = arena_strdup(pool->arena, parameters->user);
    pool->parameters.password = arena_strdup(pool->arena, parameters->password);
    pool->parameters.database = arena_strdup(pool->arena, parameters->database);
    pool->parameters.encoding = arena_strdup(pool->arena, parameters->encoding);
    server_hosts_parse(&pool->hosts, parameters->hosts, pool->arena);
    LIST_INSERT_HEAD(&pools, pool, link);
    return pool;
}

static void connection_free(struct pgsql_pool *pool, struct pgsql_connection *connection)
{
    fiber_fd_close(&connection->fd);
    PQfinish(connection->handle);
    free(connection);
    pool->connections--;
}

void pgsql_pool_drop_idle(struct pgsql_pool *pool)
{
    struct pgsql_connection *connection;
    while ((connection = TAILQ_FIRST(&pool->idle)) != NULL) {
        TAILQ_REMOVE(&pool->idle, connection, link);
        connection_free(pool, connection);
    }
}

void pgsql_pool_close(struct pgsql_pool *pool)
{
    if (--pool->references > 0)
        return;
    LIST_REMOVE(pool, link);
    if (pool->idle_timer != NULL)
        event_free(pool->idle_timer);
    pgsql_pool_drop_idle(pool);
    mem_wipe((char *)(uintptr_t)pool->parameters.password, strlen(pool->parameters.password));
    mem_wipe(pool->key, strlen(pool->key));
    free(pool->key);
    arena_free(pool->arena);
    free(pool);
}

/* --- waiting in line --------------------------------------------------------------- */

/* Somebody may try again: a host failed, or there is room for a connection. */
static void pool_wake_first(struct pgsql_pool *pool)
{
    struct pool_waiter *waiter = TAILQ_FIRST(&pool->waiters);
    if (waiter == NULL)
        return;
    TAILQ_REMOVE(&pool->waiters, waiter, link);
    waiter->link.tqe_prev = NULL;
    fiber_cond_signal(&waiter->cond);
}

static void pool_wake_all(struct pgsql_pool *pool)
{
    while (!TAILQ_EMPTY(&pool->waiters))
        pool_wake_first(pool);
}

/* False: the deadline passed or the fiber was cancelled. *given may be NULL: look again. */
static bool pool_wait(struct pgsql_pool *pool, bool first, struct pgsql_connection **given, int64_t deadline)
{
    struct pool_waiter waiter = {.given = NULL};
    *given = NULL;
    if (fiber_self() == NULL)
        return false; /* a command that does one thing at a time never waits for itself */
    if (first)
        TAILQ_INSERT_HEAD(&pool->waiters, &waiter, link);
    else
        TAILQ_INSERT_TAIL(&pool->waiters, &waiter, link);
    enum wait_status status = fiber_cond_wait(&waiter.cond, deadline);
    if (waiter.link.tqe_prev != NULL)
        TAILQ_REMOVE(&pool->waiters, &waiter, link);
    *given = waiter.given;
    if (status == WAIT_OK || waiter.given != NULL)
        return true;
    if (waiter.link.tqe_prev == NULL)
        pool_wake_first(pool); /* what was meant for this one */
    return false;
}

/* --- connecting -------------------------------------------------------------------- */

static void host_failed(struct pgsql_pool *pool, struct server_host *host, char *error)
{
    size_t len = strlen(error);
    while (len > 0 && text_is_space(error[len - 1]))
        error[--len] = '\0';
    log_warning("connect to pgsql server %s: %s", host->text, error);
    server_host_failed(host, pool->parameters.retry_interval * 1000);
}

static struct pgsql_connection *pool_connect(struct pgsql_pool *pool, struct server_host *host, int64_t deadline)
{
    char *error = NULL;
    int64_t limit = deadline_in_ms(CONNECT_TIMEOUT_MS);
    pool->connections++;
    host->connecting++;
    PGconn *handle = pgsql_host_connect(host, &pool->parameters, limit < deadline ? limit : deadline, &error);
    host->connecting--;
    int copy = handle != NULL ? fcntl(PQsocket(handle), F_DUPFD_CLOEXEC, 0) : -1;
    if (copy < 0) {
        pool->connections--;
        if (handle != NULL)
            PQfinish(handle);
        host_failed(pool, host, error != NULL ? error : (char[]){"no descriptor left"});
        free(error);
        pool_wake_all(pool);
        return NULL;
    }
    server_host_reached(host);
    struct pgsql_connection *connection = mem_alloc(sizeof *connection);
    connection->handle = handle;
    connection->host = host;
    fiber_fd_init(&connection->fd, copy);
    if (pool->connections < POOL_MAX_CONNECTIONS)
        pool_wake_first(pool); /* the way is open: one after another follows */
    return connection;
}

/* --- idle connections --------------------------------------------------------------- */

static void pool_drop_expired(struct pgsql_pool *pool)
{
    int64_t expired = clock_ms() - pool->parameters.idle_interval * 1000;
    struct pgsql_connection *connection;
    while ((connection = TAILQ_LAST(&pool->idle, pgsql_idle_list)) != NULL && connection->idle_since <= expired) {
        TAILQ_REMOVE(&pool->idle, connection, link);
        connection_free(pool, connection);
    }
}

/* Until the connection that has been idle for longest expires. */
static void pool_start_timer(struct pgsql_pool *pool)
{
    struct pgsql_connection *oldest = TAILQ_LAST(&pool->idle, pgsql_idle_list);
    int64_t ms = oldest->idle_since + pool->parameters.idle_interval * 1000 - clock_ms();
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    if (event_add(pool->idle_timer, &wait) < 0)
        log_fatal("cannot set a timer");
}

static void on_idle_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct pgsql_pool *pool = arg;
    pool_drop_expired(pool);
    if (!TAILQ_EMPTY(&pool->idle))
        pool_start_timer(pool);
}

static void pool_put_idle(struct pgsql_pool *pool, struct pgsql_connection *connection)
{
    connection->idle_since = clock_ms();
    TAILQ_INSERT_HEAD(&pool->idle, connection, link);
    if (fiber_self() == NULL) /* a command, which ends soon */
        return;
    if (pool->idle_timer == NULL && (pool->idle_timer = evtimer_new(fiber_loop_base(), on_idle_timer, pool)) == NULL)
        mem_exhausted(0);
    if (!evtimer_pending(pool->idle_timer, NULL))
        pool_start_timer(pool);
}

/* --- taking and giving --------------------------------------------------------------- */

static struct pgsql_connection *pool_take_idle(struct pgsql_pool *pool)
{
    struct pgsql_connection *connection;
    pool_drop_expired(pool);
    while ((connection = TAILQ_FIRST(&pool->idle)) != NULL) {
        TAILQ_REMOVE(&pool->idle, connection, link);
        if (!connection->fd.peer_closed)
            return connection;
        connection_free(pool, connection);
    }
    return NULL;
}

struct pgsql_connection *pgsql_pool_take(struct pgsql_pool *pool, int64_t deadline)
{
    struct pgsql_connection *connection = NULL;
    bool waited = false;
    if (!TAILQ_EMPTY(&pool->waiters) && pool->connections >= POOL_MAX_CONNECTIONS) {
        if (!pool_wait(pool, false, &connection, deadline))
            return NULL;
        waited = true;
    }
    for (;;) {
        if (connection == NULL)
            connection = pool_take_idle(pool);
        if (connection != NULL)
            return connection;
        struct server_host *host =
            pool->connections < POOL_MAX_CONNECTIONS ? server_hosts_choose(&pool->hosts) : NULL;
        if (host != NULL) {
            connection = pool_connect(pool, host, deadline);
            if (connection == NULL && clock_ms() >= deadline)
                return NULL;
            continue;
        }
        bool hopeless = pool->connections == 0 && !server_hosts_connecting(&pool->hosts);
        if (hopeless || !pool_wait(pool, waited, &connection, deadline))
            return NULL;
        waited = true;
    }
}

void pgsql_pool_give(struct pgsql_pool *pool, struct pgsql_connection *connection, bool broken)
{
    if (broken) {
        connection_free(pool, connection);
        pool_wake_first(pool);
        return;
    }
    connection->used = true;
    struct pool_waiter *waiter = TAILQ_FIRST(&pool->waiters);
    if (waiter != NULL) {
        waiter->given = connection;
        pool_wake_first(pool);
        return;
    }
    pool_put_idle(pool, connection);
}

PGconn *pgsql_connection_handle(struct pgsql_connection *connection)
{
    return connection->handle;
}

const char *pgsql_connection_host(const struct pgsql_connection *connection)
{
    return connection->host->text;
}

bool pgsql_connection_was_used(const struct pgsql_connection *connection)
{
    return connection->used;
}

enum wait_status pgsql_connection_wait(struct pgsql_connection *connection, int what, int64_t deadline)
{
    return fiber_wait_fd(&connection->fd, what, deadline);
}
