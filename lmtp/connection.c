/* SPDX-License-Identifier: ISC */
/*
 * lmtp connection: opens sessions through the lookup role (this role may not connect), keeps idle ones for
 * lmtp_connection_cache_time_limit, looks whether they are still alive before they are used again. A server
 * that cannot be reached is a deferral; the queue slows the destination down.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/lookup_protocol.h"
#include "lmtp/lmtp.h"

#define LONGEST_CONNECT 300 /* seconds, when lmtp_connect_timeout leaves it to the system */
#define LOOKUP_SLACK 5      /* seconds that lookup may take beyond the connection itself */

static TAILQ_HEAD(connection_list, lmtp_connection) kept = TAILQ_HEAD_INITIALIZER(kept); /* newest first */
static struct fiber_cond kept_changed;

/* --- the end of a connection --------------------------------------------------------- */

static void connection_quit(void *session)
{
    smtp_client_session_quit(session);
}

static void connection_close(struct lmtp_connection *connection)
{
    if (connection->session->broken)
        smtp_client_session_free(connection->session);
    else
        fiber_spawn("quit", connection_quit, connection->session);
    free(connection->endpoint);
    free(connection);
}

/* --- keeping ------------------------------------------------------------------------------ */

static void connection_reap(void *unused UNUSED)
{
    for (;;) {
        struct lmtp_connection *oldest = TAILQ_LAST(&kept, connection_list);
        enum wait_status status =
            fiber_cond_wait(&kept_changed, oldest != NULL ? oldest->idle_until : CLOCK_NEVER);
        if (status == WAIT_CANCELLED)
            return;
        int64_t now = clock_ms();
        while ((oldest = TAILQ_LAST(&kept, connection_list)) != NULL && oldest->idle_until <= now) {
            TAILQ_REMOVE(&kept, oldest, link);
            connection_close(oldest);
        }
    }
}

void lmtp_connections_start(void)
{
    fiber_spawn("connections", connection_reap, NULL);
}

void lmtp_connections_close(void)
{
    struct lmtp_connection *connection;
    while ((connection = TAILQ_FIRST(&kept)) != NULL) {
        TAILQ_REMOVE(&kept, connection, link);
        connection_close(connection);
    }
}

struct lmtp_connection *lmtp_connection_take(const char *endpoint)
{
    struct lmtp_connection *connection, *next;
    for (connection = TAILQ_FIRST(&kept); connection != NULL; connection = next) {
        next = TAILQ_NEXT(connection, link);
        if (strcmp(connection->endpoint, endpoint) != 0)
            continue;
        TAILQ_REMOVE(&kept, connection, link);
        /* A server that hung up, or said something unasked, would spoil the next transaction. */
        if (!smtp_client_session_has_stray_input(connection->session, true))
            return connection;
        connection->session->broken = true;
        connection_close(connection);
    }
    return NULL;
}

static bool connection_may_be_kept(const struct lmtp_connection *connection, int64_t now)
{
    if (connection->session->broken || !lmtp_settings.keeps_connections || role_is_draining())
        return false;
    if (lmtp_settings.reuse_count_limit > 0 && connection->session->uses >= lmtp_settings.reuse_count_limit)
        return false;
    return now - connection->opened < lmtp_settings.reuse_time_limit * 1000;
}

void lmtp_connection_put(struct lmtp_connection *connection)
{
    int64_t now = clock_ms();
    if (!connection_may_be_kept(connection, now)) {
        connection_close(connection);
        return;
    }
    bool first = TAILQ_EMPTY(&kept);
    connection->idle_until = now + lmtp_settings.cache_time_limit * 1000;
    TAILQ_INSERT_HEAD(&kept, connection, link);
    if (first)
        fiber_cond_signal(&kept_changed);
}

/* --- opening ------------------------------------------------------------------------------------ */

struct connect_answer {
    bool ok;
    char *name, *address, *error;
    int fd;
};

static bool connect_answer_decode(struct slice body, struct arena *arena, struct connect_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    answer->ok = ipc_get_bool(&reader);
    answer->name = ipc_get_text(&reader, arena);
    answer->address = ipc_get_text(&reader, arena);
    answer->error = ipc_get_text(&reader, arena);
    return ipc_reader_finish(&reader);
}

/* Asks lookup for a connected descriptor. False: lookup could not be asked. */
static bool connection_ask(const char *endpoint, struct arena *arena, struct connect_answer *answer)
{
    struct str question = STR_EMPTY, reply = STR_EMPTY;
    int64_t seconds = lmtp_settings.connect_timeout > 0 ? lmtp_settings.connect_timeout : LONGEST_CONNECT;
    if (seconds > 24 * 3600)
        seconds = 24 * 3600;
    ipc_put_text(&question, endpoint);
    ipc_put_u32(&question, (uint32_t)(seconds * 1000));
    *answer = (struct connect_answer){.fd = -1};
    enum ipc_status status = role_call(ROLE_LOOKUP, NULL, LOOKUP_CONNECT, str_slice(&question), &reply, &answer->fd,
                                       deadline_in_s(seconds + LOOKUP_SLACK));
    str_free(&question);
    if (status != IPC_OK)
        return false;
    if (!connect_answer_decode(str_slice(&reply), arena, answer) || answer->ok != (answer->fd >= 0))
        log_fatal("malformed answer of the lookup service to CONNECT");
    str_free(&reply);
    return true;
}

static struct lmtp_connection *connection_failed(struct smtp_failure *failure, const char *dsn,
                                                 const char *reason)
{
    *failure = (struct smtp_failure){.dsn = dsn, .reason = reason};
    return NULL;
}

static struct lmtp_connection *connection_refused(const struct smtp_next_hop *hop, const char *host,
                                                  const char *address, const char *error, struct arena *arena,
                                                  struct smtp_failure *failure)
{
    const char *port = hop->port != 0 ? arena_printf(arena, ":%u", hop->port) : "";
    if (*address == '\0')
        return connection_failed(
            failure, "4.4.3", arena_printf(arena, "Host or domain name not found. Name service error for name=%s "
                                                  "type=A: %s", host, error));
    return connection_failed(failure, "4.4.1",
                             arena_printf(arena, "connect to %s[%s]%s: %s", host, address, port, error));
}

static void connection_prepare_fd(int fd, bool is_tcp)
{
    const int on = 1;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        log_fatal("cannot make a connection non-blocking: %s", strerror(errno));
    /* Every write is a whole group of commands or a whole content: its last segment must not wait. */
    if (is_tcp && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        log_warning("setsockopt TCP_NODELAY: %s", strerror(errno));
}

struct lmtp_connection *lmtp_connection_open(const struct smtp_next_hop *hop, struct arena *arena,
                                             struct smtp_failure *failure)
{
    struct connect_answer answer;
    if (!connection_ask(hop->endpoint, arena, &answer))
        return connection_failed(failure, "4.3.0", "the lookup service is not available");
    const char *host = hop->path != NULL ? lmtp_settings.my_host_name : hop->host;
    const char *address = hop->path != NULL ? hop->path : answer.address;
    if (!answer.ok)
        return connection_refused(hop, host, address, answer.error, arena, failure);
    connection_prepare_fd(answer.fd, hop->path == NULL);
    struct lmtp_connection *connection = mem_alloc(sizeof *connection);
    connection->session = smtp_client_session_new(&lmtp_settings.client, answer.fd, host, address, hop->port);
    connection->endpoint = mem_strdup(hop->endpoint);
    connection->opened = clock_ms();
    if (smtp_client_session_greet(connection->session, arena, failure))
        return connection;
    failure->relay = arena_strdup(arena, connection->session->relay);
    connection_close(connection);
    return NULL;
}
