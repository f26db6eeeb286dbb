/* SPDX-License-Identifier: ISC */
/* The way from a service to keys: certificates for a name, and signatures. Calls wait on the session's fiber. */
#ifndef POSTHORN_TLS_KEYS_CLIENT_H
#define POSTHORN_TLS_KEYS_CLIENT_H

#include "common/process/ipc.h"
#include "common/tls/remote_key.h"

/* The service's edge to keys; changed is called on the channel's fiber when there are new certificates. */
const struct ipc_edge *keys_client_edge(void (*changed)(void));

/* False: keys did not answer, which is logged. */
bool keys_client_identity(const char *server_name, int64_t deadline, struct arena *arena, struct keys_identity *identity)
    MUST_CHECK;

/* For remote_key_init(). */
remote_key_signer keys_client_sign;

#endif
