/* SPDX-License-Identifier: ISC */
/*
 * connect: LOOKUP_CONNECT. Delivery agents may not connect anywhere; they get a connected descriptor from here.
 * "unix:private/x" is relative to queue_directory, as master.cf's and Dovecot's sockets are. Our own sockets in
 * public/ are refused: the queue would take the agent for this process, that is for mail_owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/host_resolve.h"
#include "lookup/lookup.h"

struct connection {
    int fd; /* -1: not connected */
    const char *peer_name, *peer_address;
    const char *error;
};

static bool wait_until_connected(struct fiber_fd *handle, int64_t deadline, const char **error)
{
    int code = 0;
    socklen_t len = sizeof code;
    switch (fiber_wait_fd(handle, FIBER_WRITE, deadline)) {
    case WAIT_OK: break;
    case WAIT_TIMEOUT: *error = strerror(ETIMEDOUT); return false;
    default: *error = strerror(ECANCELED); return false;
    }
    if (getsockopt(handle->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    *error = strerror(code);
    return code == 0;
}

/* A full backlog of a UNIX-domain socket says EAGAIN and promises nothing: ask again shortly. */
static bool connect_descriptor(struct fiber_fd *handle, const struct sockaddr *address, socklen_t len,
                               int64_t deadline, const char **error)
{
    for (;;) {
        if (connect(handle->fd, address, len) == 0)
            return true;
        if (errno == EINPROGRESS)
            return wait_until_connected(handle, deadline, error);
        *error = strerror(errno);
        if (errno != EAGAIN || clock_ms() >= deadline)
            return false;
        if (fiber_sleep_until(deadline_in_ms(10)) != WAIT_OK)
            return false;
    }
}

static void connect_to(struct connection *connection, const struct sockaddr *address, socklen_t len,
                       int64_t deadline)
{
    struct fiber_fd handle;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        connection->error = strerror(errno);
        return;
    }
    fiber_fd_init(&handle, fd);
    if (connect_descriptor(&handle, address, len, deadline, &connection->error))
        connection->fd = fiber_fd_detach(&handle);
    else
        fiber_fd_close(&handle);
}

static bool is_own_socket(const char *path, struct arena *arena)
{
    struct stat own, asked;
    const char *slash = strrchr(path, '/');
    const char *public = arena_printf(arena, "%s/public", config_string(role_config(), "queue_directory"));
    char *directory = arena_printf(arena, "%.*s/", slash != NULL ? (int)(slash - path) : 0, path);
    return stat(public, &own) == 0 && stat(directory, &asked) == 0 && own.st_dev == asked.st_dev &&
           own.st_ino == asked.st_ino;
}

static void connect_unix(struct connection *connection, const char *path, struct arena *arena, int64_t deadline)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *full = path[0] == '/' ? path
                                      : arena_printf(arena, "%s/%s", config_string(role_config(), "queue_directory"),
                                                     path);
    connection->peer_name = connection->peer_address = path;
    size_t len = strlen(full);
    if (len >= sizeof address.sun_path) {
        connection->error = "socket path is too long";
        return;
    }
    if (is_own_socket(full, arena)) {
        connection->error = strerror(EACCES);
        return;
    }
    memcpy(address.sun_path, full, len + 1);
    connect_to(connection, (struct sockaddr *)&address, sizeof address, deadline);
}

static bool split_host_port(const char *text, struct arena *arena, char **host, char **port)
{
    char *copy = arena_strdup(arena, text);
    char *bracket = strrchr(copy, ']');
    char *colon = strrchr(bracket != NULL ? bracket : copy, ':');
    if (colon == NULL || colon == copy || colon[1] == '\0')
        return false;
    *colon = '\0';
    *port = colon + 1;
    *host = copy;
    if (bracket != NULL && copy[0] == '[') {
        *bracket = '\0';
        *host = copy + 1;
    }
    return **host != '\0';
}

static void connect_inet(struct connection *connection, const char *text, struct arena *arena, int64_t deadline)
{
    char *host, *port;
    struct host_addresses *addresses = arena_alloc(arena, sizeof *addresses);
    if (!split_host_port(text, arena, &host, &port)) {
        connection->error = "malformed endpoint: expecting inet:host:port";
        return;
    }
    connection->peer_name = host;
    connection->error = host_resolve(host, port, addresses, deadline);
    if (connection->error != NULL)
        return;
    connection->error = "no address found";
    for (size_t i = 0; i < addresses->count && connection->fd < 0; i++) {
        const struct host_address *one = &addresses->list[i];
        char numeric[HOST_TEXT_SIZE];
        host_address_text(one, numeric);
        connection->peer_address = arena_strdup(arena, numeric);
        /* The time is shared out: a silent first address must not use it all up. */
        int64_t now = clock_ms(), share = now + (deadline - now) / (int64_t)(addresses->count - i);
        connect_to(connection, (const struct sockaddr *)&one->address, one->len, share);
    }
}

static void connect_now(struct question *question, bool only_known)
{
    struct ipc_reader reader = ipc_reader_of(str_slice(&question->body));
    const char *endpoint = ipc_get_text(&reader, question->arena);
    int64_t deadline = deadline_in_ms(ipc_get_u32(&reader));
    struct connection connection = {.fd = -1, .peer_name = "", .peer_address = "", .error = NULL};
    struct str reply = STR_EMPTY;
    if (!ipc_reader_finish(&reader)) {
        question_is_malformed(question);
        return;
    }
    if (only_known && !known_endpoints_has(endpoint)) {
        log_warning("%s: no policy service or filter of main.cf or master.cf: not connected", endpoint);
        connection.error = strerror(EACCES);
    } else if (strncmp(endpoint, "unix:", 5) == 0)
        connect_unix(&connection, endpoint + 5, question->arena, deadline);
    else if (strncmp(endpoint, "inet:", 5) == 0)
        connect_inet(&connection, endpoint + 5, question->arena, deadline);
    else
        connection.error = "malformed endpoint: expecting unix:path or inet:host:port";
    bool ok = connection.fd >= 0;
    ipc_put_bool(&reply, ok);
    ipc_put_text(&reply, connection.peer_name);
    ipc_put_text(&reply, connection.peer_address);
    ipc_put_text(&reply, ok ? "" : connection.error);
    question_reply(question, &reply, connection.fd);
    if (ok)
        close(connection.fd);
    str_free(&reply);
}

static void connect_known(struct question *question)
{
    connect_now(question, true);
}

static void connect_any(struct question *question)
{
    connect_now(question, false);
}

void answer_connect(struct ipc_channel *channel, struct ipc_message *message)
{
    question_ask(channel, message, connect_any, true);
}

void answer_connect_known(struct ipc_channel *channel, struct ipc_message *message)
{
    question_ask(channel, message, connect_known, true);
}
