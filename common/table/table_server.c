/* SPDX-License-Identifier: ISC */
/*
 * table_server: connects, connects again, and hands out connections. Called by socketmap.c and tcp.c on the fibers of
 * lookups; needs RIGHT_CONNECT_UNIX and RIGHT_CONNECT_INET. A server that is away fails the lookup, and is asked again
 * by the next one, after a pause of a second at most.
 */
#include "common/table/table_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/un.h>

#include "common/base/mem.h"
#include "common/table/host_resolve.h"

#define MAX_CONNECTIONS 8
#define IDLE_MS 10000       /* as long as Postfix keeps an unused connection */
#define CONNECT_MS 10000
#define PAUSE_MS 1000

struct server_connection {
    struct stream stream;
    bool used;
    int64_t idle_since;
    TAILQ_ENTRY(server_connection) link;
};

struct server_waiter {
    struct fiber_cond cond;
    bool woken;
    TAILQ_ENTRY(server_waiter) link;
};

struct table_server {
    char *endpoint;
    char *path;        /* of unix: */
    char *host, *port; /* of inet: */
    size_t connections; /* idle, in use and being made */
    TAILQ_HEAD(, server_connection) idle; /* the most recently used first */
    TAILQ_HEAD(, server_waiter) waiters;
    int64_t down_until;
    char *down_error;
    unsigned references;
    LIST_ENTRY(table_server) link;
};

static LIST_HEAD(, table_server) servers = LIST_HEAD_INITIALIZER(servers);

/* --- opening ------------------------------------------------------------------------------- */

static bool parse_inet(struct table_server *server, const char *text)
{
    const char *bracket = strrchr(text, ']'), *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[' && bracket != NULL;
    if (colon == NULL || colon[1] == '\0' || (bracketed && colon != bracket + 1))
        return false;
    size_t len = (size_t)(colon - text);
    server->host = bracketed ? mem_strndup(text + 1, len - 2) : mem_strndup(text, len);
    server->port = mem_strdup(colon + 1);
    return server->host[0] != '\0' && (bracketed || strchr(server->host, ':') == NULL);
}

static bool parse_unix(struct table_server *server, const char *path, const struct config *config)
{
    struct sockaddr_un address;
    server->path = path[0] == '/' ? mem_strdup(path)
                                  : mem_printf("%s/%s", config_string(config, "queue_directory"), path);
    return path[0] != '\0' && strlen(server->path) < sizeof address.sun_path;
}

static void server_free(struct table_server *server)
{
    free(server->endpoint);
    free(server->path);
    free(server->host);
    free(server->port);
    free(server->down_error);
    free(server);
}

struct table_server *table_server_open(const char *endpoint, const struct config *config, char **error)
{
    struct table_server *server;
    LIST_FOREACH(server, &servers, link) {
        if (strcmp(server->endpoint, endpoint) == 0) {
            server->references++;
            return server;
        }
    }
    server = mem_alloc(sizeof *server);
    server->endpoint = mem_strdup(endpoint);
    server->references = 1;
    TAILQ_INIT(&server->idle);
    TAILQ_INIT(&server->waiters);
    bool is_unix = strncmp(endpoint, "unix:", 5) == 0, is_inet = strncmp(endpoint, "inet:", 5) == 0;
    if ((is_unix && parse_unix(server, endpoint + 5, config)) || (is_inet && parse_inet(server, endpoint + 5))) {
        LIST_INSERT_HEAD(&servers, server, link);
        return server;
    }
    *error = mem_printf("bad server name \"%s\": expecting inet:host:port or unix:pathname", endpoint);
    server_free(server);
    return NULL;
}

static void connection_free(struct table_server *server, struct server_connection *connection)
{
    stream_close(&connection->stream);
    free(connection);
    server->connections--;
}

static void drop_idle(struct table_server *server)
{
    struct server_connection *connection;
    while ((connection = TAILQ_FIRST(&server->idle)) != NULL) {
        TAILQ_REMOVE(&server->idle, connection, link);
        connection_free(server, connection);
    }
}

void table_server_close(struct table_server *server)
{
    if (server == NULL || --server->references > 0)
        return;
    drop_idle(server);
    LIST_REMOVE(server, link);
    server_free(server);
}

const char *table_server_endpoint(const struct table_server *server)
{
    return server->endpoint;
}

/* --- connecting ----------------------------------------------------------------------------- */

static const char *finish_connecting(struct fiber_fd *handle, int64_t deadline)
{
    int code = 0;
    socklen_t len = sizeof code;
    switch (fiber_wait_fd(handle, FIBER_WRITE, deadline)) {
    case WAIT_OK: break;
    case WAIT_TIMEOUT: return strerror(ETIMEDOUT);
    default: return strerror(ECANCELED);
    }
    if (getsockopt(handle->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    return code == 0 ? NULL : strerror(code);
}

/* NULL: connected. A full backlog of a UNIX-domain socket says EAGAIN and promises nothing: ask again shortly. */
static const char *connect_handle(struct fiber_fd *handle, const struct sockaddr *address, socklen_t len,
                                  int64_t deadline)
{
    while (connect(handle->fd, address, len) < 0) {
        if (errno == EINPROGRESS)
            return finish_connecting(handle, deadline);
        if (errno != EAGAIN || clock_ms() >= deadline)
            return strerror(errno);
        if (fiber_sleep_until(deadline_in_ms(10)) != WAIT_OK)
            return strerror(ECANCELED);
    }
    return NULL;
}

static int connect_to(const struct sockaddr *address, socklen_t len, const char **error, int64_t deadline)
{
    struct fiber_fd handle;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *error = strerror(errno);
        return -1;
    }
    fiber_fd_init(&handle, fd);
    *error = connect_handle(&handle, address, len, deadline);
    if (*error == NULL)
        return fiber_fd_detach(&handle);
    fiber_fd_close(&handle);
    return -1;
}

static int connect_server(const struct table_server *server, const char **error, int64_t deadline)
{
    if (server->path != NULL) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, server->path, strlen(server->path) + 1);
        return connect_to((struct sockaddr *)&address, sizeof address, error, deadline);
    }
    struct host_addresses *addresses = mem_alloc(sizeof *addresses);
    int fd = -1;
    *error = host_resolve(server->host, server->port, addresses, deadline);
    if (*error == NULL)
        for (size_t i = 0; i < addresses->count && fd < 0; i++) {
            const struct host_address *one = &addresses->list[i];
            /* The time is shared out: a silent first address must not use it all up. */
            int64_t now = clock_ms(), share = now + (deadline - now) / (int64_t)(addresses->count - i);
            fd = connect_to((const struct sockaddr *)&one->address, one->len, error, share);
        }
    free(addresses);
    return fd;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The place for it has been counted already. */
static struct server_connection *connection_new(struct table_server *server, char **error, int64_t deadline)
{
    const char *why = NULL;
    bool is_down = server->down_error != NULL && clock_ms() < server->down_until;
    int fd = is_down ? -1 : connect_server(server, &why, earlier(deadline, deadline_in_ms(CONNECT_MS)));
    if (fd >= 0) {
        struct server_connection *connection = mem_alloc(sizeof *connection);
        stream_init(&connection->stream, fd);
        free(server->down_error);
        server->down_error = NULL;
        return connection;
    }
    if (!is_down) {
        free(server->down_error);
        server->down_error = mem_strdup(why);
        server->down_until = deadline_in_ms(PAUSE_MS);
    }
    *error = mem_printf("connect to %s: %s", server->endpoint, server->down_error);
    return NULL;
}

/* --- taking turns --------------------------------------------------------------------------- */

static bool wait_for_turn(struct table_server *server, int64_t deadline)
{
    while (TAILQ_EMPTY(&server->idle) && server->connections >= MAX_CONNECTIONS) {
        struct server_waiter waiter = {.woken = false};
        TAILQ_INSERT_TAIL(&server->waiters, &waiter, link);
        enum wait_status status = fiber_cond_wait(&waiter.cond, deadline);
        if (!waiter.woken)
            TAILQ_REMOVE(&server->waiters, &waiter, link);
        if (status != WAIT_OK)
            return false;
    }
    return true;
}

static void wake_next(struct table_server *server)
{
    struct server_waiter *waiter = TAILQ_FIRST(&server->waiters);
    if (waiter == NULL)
        return;
    TAILQ_REMOVE(&server->waiters, waiter, link);
    waiter->woken = true;
    fiber_cond_signal(&waiter->cond);
}

static void drop_old(struct table_server *server)
{
    struct server_connection *connection, *next;
    for (connection = TAILQ_FIRST(&server->idle); connection != NULL; connection = next) {
        next = TAILQ_NEXT(connection, link);
        if (clock_ms() - connection->idle_since < IDLE_MS)
            continue;
        TAILQ_REMOVE(&server->idle, connection, link);
        connection_free(server, connection);
    }
}

static struct server_connection *take(struct table_server *server, char **error, int64_t deadline)
{
    drop_old(server);
    if (!wait_for_turn(server, deadline)) {
        *error = mem_printf("%s: timeout while waiting for a free connection", server->endpoint);
        wake_next(server); /* a signal that came with the timeout belongs to somebody else */
        return NULL;
    }
    struct server_connection *connection = TAILQ_FIRST(&server->idle);
    if (connection != NULL) {
        TAILQ_REMOVE(&server->idle, connection, link);
        return connection;
    }
    server->connections++;
    connection = connection_new(server, error, deadline);
    if (connection == NULL) {
        server->connections--;
        wake_next(server);
    }
    return connection;
}

static void give_back(struct table_server *server, struct server_connection *connection)
{
    connection->used = true;
    connection->idle_since = clock_ms();
    TAILQ_INSERT_HEAD(&server->idle, connection, link);
}

static const char *describe(enum io_status status, const struct stream *stream)
{
    switch (status) {
    case IO_EOF: return "unexpected EOF";
    case IO_TIMEOUT: return "timeout";
    case IO_CANCELLED: return "cancelled";
    case IO_TOO_LONG: return "the answer is too long";
    default: return stream->error != 0 ? strerror(stream->error) : "malformed answer";
    }
}

bool table_server_ask(struct table_server *server, struct slice query, table_server_read *read, void *context,
                      char **error, int64_t deadline)
{
    for (;;) {
        struct server_connection *connection = take(server, error, deadline);
        if (connection == NULL)
            return false;
        bool is_fresh = !connection->used;
        stream_put(&connection->stream, query);
        enum io_status status = stream_flush(&connection->stream, deadline);
        if (status == IO_OK)
            status = read(&connection->stream, context, deadline);
        bool nothing_left = stream_buffered(&connection->stream).len == 0;
        bool was_closed = status == IO_EOF || (status == IO_ERROR && connection->stream.error != 0);
        if (status != IO_OK)
            *error = mem_printf("read from %s: %s", server->endpoint, describe(status, &connection->stream));
        if (status == IO_OK && nothing_left)
            give_back(server, connection);
        else
            connection_free(server, connection);
        if (was_closed && !is_fresh)
            drop_idle(server); /* they have met the same fate */
        wake_next(server);
        if (!was_closed || is_fresh)
            return status == IO_OK;
        free(*error);
        *error = NULL;
    }
}
