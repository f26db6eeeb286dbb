/* SPDX-License-Identifier: ISC */
/* What the files of the auth role share. */
#ifndef POSTHORN_AUTH_AUTH_H
#define POSTHORN_AUTH_AUTH_H

#include <uthash.h>

#include "common/process/role.h"
#include "common/sasl/sasl_mechanism.h"
#include "common/sasl/sasl_protocol.h"

extern const struct role auth_role;

struct exchange;

/*
 * An authentication service that the configuration names. Its functions run on a fiber, wait, and always fill the answer
 * (texts in the arena). Of responses they keep no copy.
 */
struct backend_driver {
    void (*mechanisms)(void *state, const struct sasl_client *client, struct arena *arena, struct sasl_answer *answer);
    /* initial: NULL for none. With SASL_MORE the exchange goes on with step(). */
    void (*start)(struct exchange *exchange, const struct sasl_client *client, const char *mechanism,
                  const struct slice *initial, struct arena *arena, struct sasl_answer *answer);
    void (*step)(struct exchange *exchange, struct slice response, struct arena *arena, struct sasl_answer *answer);
    /* The exchange is over, or nobody wants it any more: releases exchange->progress. Never waits. */
    void (*drop)(struct exchange *exchange);
    /* Adds what its processes can do; NULL: it has none. */
    size_t (*probe)(void *state, struct arena *arena, struct probe_result **results);
};

struct backend {
    uint8_t type; /* enum sasl_type */
    const char *path, *config_path;
    const struct backend_driver *driver;
    void *state;
};

/* Collects the backends of main.cf and of every service's overrides; starts what must start before confinement. */
void backends_open(const struct config *config);
size_t backends_probe(struct arena *arena, struct probe_result **results);
/* NULL: not configured. */
struct backend *backend_find(const struct sasl_client *client);

/* One AUTH command, from its START to the answer that ends it. */
struct exchange {
    uint64_t id;
    struct ipc_channel *channel; /* whose it is */
    struct backend *backend;
    void *progress;              /* the driver's; NULL: none */
    bool is_busy;                /* a step is under way */
    bool is_unwanted;            /* dropped as soon as that step is done */
    int64_t touched;
    UT_hash_handle hh;
};

/* The edge to services (exchange.c). */
extern const struct ipc_edge auth_service_edge;
void exchanges_start(const struct config *config);
int64_t auth_timeout_ms(void); /* auth_timeout: how long one step may take */

void answer_set(struct sasl_answer *answer, enum sasl_status status, const char *text, struct arena *arena);
void secret_free(struct str *secret); /* wiped */

/* --- Dovecot (dovecot.c) ---------------------------------------------------------------------------- */
extern const struct backend_driver dovecot_driver;
void *dovecot_open(const char *path);

/* --- Cyrus SASL (cyrus_pool.c) ------------------------------------------------------------------------ */
extern const struct backend_driver cyrus_driver;
/* Forks the process that starts workers. */
void *cyrus_open(const char *application, const char *config_path, const struct config *config);

#endif
