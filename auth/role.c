/* SPDX-License-Identifier: ISC */
/*
 * auth: the one process that knows where passwords are checked. Services ask (common/sasl/sasl_protocol.h); Dovecot is
 * asked over a socket that lookup connected, Cyrus SASL in worker processes of its own, because it blocks. This process
 * itself opens no file and no socket. A configuration change means a fresh process.
 */
#include "auth/auth.h"

static const struct ipc_edge lookup_edge = {.name = "auth->lookup", .trust = IPC_FROM_ROLE};

static const struct ipc_edge *auth_edge(enum role_id peer)
{
    if (peer == ROLE_SUBMISSION)
        return &auth_service_edge;
    return peer == ROLE_LOOKUP ? &lookup_edge : NULL;
}

static void auth_open(const struct role_start *start)
{
    backends_open(start->config);
}

static void auth_start(const struct role_start *start)
{
    exchanges_start(start->config);
}

const struct role auth_role = {
    .id = ROLE_AUTH,
    .wants_empty_root = true,
    .open = auth_open,
    .start = auth_start,
    .edge = auth_edge,
    .probe = backends_probe,
};
