/* SPDX-License-Identifier: ISC */
/* Inside the lmtp role: settings, connections, deliveries. */
#ifndef POSTHORN_LMTP_LMTP_H
#define POSTHORN_LMTP_LMTP_H

#include <sys/queue.h>

#include "common/mail/delivery_agent.h"
#include "common/process/role.h"
#include "common/smtp/client/next_hop.h"
#include "common/smtp/client/session.h"

/* --- settings.c: what main.cf says, read once ------------------------------------------ */

struct lmtp_settings {
    struct smtp_client_settings client;
    const char *my_host_name;
    const char *default_port;     /* lmtp_tcp_port */
    int64_t connect_timeout;      /* seconds; 0: the system's */
    bool keeps_connections;       /* lmtp_connection_cache_on_demand */
    int64_t cache_time_limit;     /* seconds an idle connection is kept */
    int64_t reuse_time_limit;     /* seconds a connection is used at all */
    unsigned reuse_count_limit;   /* deliveries over one connection; 0: any number */
};

extern struct lmtp_settings lmtp_settings;
void lmtp_settings_load(const struct config *config);

/* --- connection.c: open connections and those kept for the next delivery ----------------- */

struct lmtp_connection {
    struct smtp_client_session *session;
    char *endpoint;
    int64_t opened;     /* clock_ms() */
    int64_t idle_until; /* while kept */
    TAILQ_ENTRY(lmtp_connection) link;
};

void lmtp_connections_start(void);
/* A kept connection that is still alive, or NULL. */
struct lmtp_connection *lmtp_connection_take(const char *endpoint);
/* A new one: asks lookup to connect, then LHLO. NULL: *failure tells. */
struct lmtp_connection *lmtp_connection_open(const struct smtp_next_hop *hop, struct arena *arena,
                                             struct smtp_failure *failure);
/* Gives a connection back: it is kept for a while, or closed with QUIT, or dropped when broken. */
void lmtp_connection_put(struct lmtp_connection *connection);
/* Closes all that are kept (the role ends). */
void lmtp_connections_close(void);

/* --- deliver.c: one fiber a delivery -------------------------------------------------------- */

void lmtp_deliver(struct delivery_job *job);

#endif
