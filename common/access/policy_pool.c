/* SPDX-License-Identifier: ISC */
/*
 * policy_pool: the connections to policy services. This role may not connect: lookup gives connected descriptors. Idle ones
 * are looked at before they are used again and closed after max_idle; so that one service cannot use up all
 * descriptors, sessions wait in line when there are many.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/access/policy_service.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role.h"

static struct policy_service **services; /* those that have had a connection */
static size_t service_count;
static struct fiber_cond changed;
static bool has_reaper;

/* --- the end of connections ------------------------------------------------------------ */

void policy_pool_drop(struct policy_connection *connection)
{
    struct policy_service *service = connection->service;
    stream_close(&connection->stream);
    free(connection);
    service->count--;
    fiber_cond_signal(&service->freed);
}

static void drop_idle(struct policy_connection *connection)
{
    TAILQ_REMOVE(&connection->service->idle, connection, link);
    policy_pool_drop(connection);
}

/* Closes what has been idle too long; returns when to look again. */
static int64_t reap(int64_t now)
{
    int64_t next = CLOCK_NEVER;
    for (size_t i = 0; i < service_count; i++) {
        struct policy_connection *oldest;
        while ((oldest = TAILQ_FIRST(&services[i]->idle)) != NULL && oldest->idle_until <= now)
            drop_idle(oldest);
        if (oldest != NULL && oldest->idle_until < next)
            next = oldest->idle_until;
    }
    return next;
}

static void reaper_fiber(void *arg UNUSED)
{
    while (fiber_cond_wait(&changed, reap(clock_ms())) != WAIT_CANCELLED)
        continue;
    has_reaper = false;
}

/* --- making one ------------------------------------------------------------------------------ */

static void register_service(struct policy_service *service)
{
    for (size_t i = 0; i < service_count; i++)
        if (services[i] == service)
            return;
    services = mem_realloc_array(services, service_count + 1, sizeof(struct policy_service *));
    services[service_count++] = service;
}

static struct policy_connection *connect_service(struct policy_service *service, struct arena *arena, const char **error)
{
    int fd = lookup_connect(service->spec.endpoint, service->spec.timeout * 1000, arena, error);
    if (fd < 0) {
        log_warning("connect to %s: %s", service->spec.label, *error);
        service->count--;
        fiber_cond_signal(&service->freed);
        return NULL;
    }
    register_service(service);
    struct policy_connection *connection = mem_alloc(sizeof *connection);
    stream_init(&connection->stream, fd);
    connection->service = service;
    connection->opened = clock_ms();
    return connection;
}

/* --- taking ------------------------------------------------------------------------------------ */

/* The transaction's own connection; else the one used last that nobody holds; with `any`, one that somebody holds. */
static struct policy_connection *find_idle(struct policy_service *service, const struct smtp_session *session, bool any)
{
    struct policy_connection *connection, *unheld = NULL;
    TAILQ_FOREACH (connection, &service->idle, link) {
        if (connection->holder == session)
            return connection;
        if (connection->holder == NULL)
            unheld = connection;
    }
    return unheld != NULL || !any ? unheld : TAILQ_FIRST(&service->idle);
}

/* One that the server closed, or that says something unasked, is of no use. */
static struct policy_connection *take_idle(struct policy_service *service, const struct smtp_session *session, bool any)
{
    struct policy_connection *connection;
    while ((connection = find_idle(service, session, any)) != NULL) {
        bool is_usable = !stream_has_input(&connection->stream) &&
                         clock_ms() - connection->opened < service->spec.max_ttl * 1000;
        if (!is_usable) {
            drop_idle(connection);
            continue;
        }
        TAILQ_REMOVE(&service->idle, connection, link);
        connection->is_kept = true;
        return connection;
    }
    return NULL;
}

struct policy_connection *policy_pool_take(struct policy_service *service, const struct smtp_session *session,
                                           struct arena *arena, const char **error)
{
    int64_t deadline = deadline_in_s(service->spec.timeout);
    for (;;) {
        struct policy_connection *connection = take_idle(service, session, service->count >= POLICY_CONNECTION_LIMIT);
        if (connection != NULL)
            return connection;
        if (service->count < POLICY_CONNECTION_LIMIT) {
            service->count++;
            return connect_service(service, arena, error);
        }
        enum wait_status status = fiber_cond_wait(&service->freed, deadline);
        if (status != WAIT_OK) {
            *error = strerror(status == WAIT_TIMEOUT ? ETIMEDOUT : ECANCELED);
            return NULL;
        }
    }
}

void policy_pool_put(struct policy_connection *connection, const struct smtp_session *session)
{
    struct policy_service *service = connection->service;
    int64_t now = clock_ms();
    connection->requests++;
    if ((service->spec.request_limit > 0 && connection->requests >= service->spec.request_limit) ||
        now - connection->opened >= service->spec.max_ttl * 1000 || role_is_draining() ||
        stream_buffered(&connection->stream).len > 0) {
        policy_pool_drop(connection);
        return;
    }
    connection->holder = session->arena != NULL ? session : NULL;
    connection->idle_until = now + service->spec.max_idle * 1000;
    TAILQ_INSERT_TAIL(&service->idle, connection, link);
    fiber_cond_signal(&service->freed);
    if (!has_reaper)
        fiber_spawn("policy", reaper_fiber, NULL);
    else if (connection == TAILQ_FIRST(&service->idle))
        fiber_cond_signal(&changed);
    has_reaper = true;
}

void policy_pool_release(const struct smtp_session *session)
{
    for (size_t i = 0; i < service_count; i++) {
        struct policy_connection *connection;
        TAILQ_FOREACH (connection, &services[i]->idle, link)
            if (connection->holder == session)
                connection->holder = NULL;
    }
}
