/* SPDX-License-Identifier: ISC */
/*
 * Policy services (SMTPD_POLICY_README): who they are, connections to them, questions. Connections are kept and shared by
 * all sessions of the process; a transaction keeps the one it began with, because services remember per connection.
 */
#ifndef POSTHORN_ACCESS_POLICY_SERVICE_H
#define POSTHORN_ACCESS_POLICY_SERVICE_H

#include <sys/queue.h>

#include "common/access/restrict.h"
#include "common/mail/policy_spec.h"

#define POLICY_CONNECTION_LIMIT 50 /* to one service; further sessions wait for a free one */

struct policy_connection;
TAILQ_HEAD(policy_connection_list, policy_connection);

struct policy_service {
    const char *text; /* the restriction's argument, as the lists hold it */
    struct policy_spec spec;
    struct policy_connection_list idle; /* least recently used first */
    size_t count;                       /* idle, in use and being made */
    struct fiber_cond freed;
};

struct policy_connection {
    struct stream stream;
    struct policy_service *service;
    const struct smtp_session *holder; /* its transaction goes on here; NULL: anybody's */
    int64_t opened, idle_until;        /* clock_ms() */
    int64_t requests;
    bool is_kept;                      /* it has answered before: the server may have closed it meanwhile */
    TAILQ_ENTRY(policy_connection) link;
};

/* --- policy_service.c ----------------------------------------------------------------------- */

/* Reads the services that the lists and classes name, fatal when one is malformed. */
void policy_services_configure(const struct config *config, struct arena *arena);
struct policy_service *policy_service_find(const char *text);
/* Connections that there may be in all: descriptors to keep free for them. */
size_t policy_connection_limit(void);
/* Asks, with as many tries as configured. NULL: no answer, and the log says why. The action lives in the arena. */
const char *policy_service_ask(struct policy_service *service, const struct smtp_session *session, struct slice request,
                               struct arena *arena);

/* --- policy_pool.c ------------------------------------------------------------------------------ */

/* A connection for this session, kept or new. NULL: *error says why. */
struct policy_connection *policy_pool_take(struct policy_service *service, const struct smtp_session *session,
                                           struct arena *arena, const char **error);
/* Keeps it for the next question (of the same transaction first), or closes it when it is old. */
void policy_pool_put(struct policy_connection *connection, const struct smtp_session *session);
void policy_pool_drop(struct policy_connection *connection);
/* The session's transaction has ended: its connections are anybody's. */
void policy_pool_release(const struct smtp_session *session);

/* --- policy_request.c --------------------------------------------------------------------------- */

/* The attributes, in Postfix's order, with the empty line behind them. */
void policy_request_put(struct str *out, const struct evaluation *evaluation, const struct policy_service *service);

#endif
