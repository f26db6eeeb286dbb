/* SPDX-License-Identifier: ISC */
/*
 * lmtp: delivers mail over LMTP (RFC 2033), for master.cf's lmtp service. The queue asks (DELIVER), lookup
 * connects (CONNECT); this process talks to servers over the descriptors it is given, and can neither open a
 * file nor make a connection. A configuration change means a fresh process.
 */
#include "lmtp/role.h"

#include "lmtp/lmtp.h"

/* lookup only answers. */
static const struct ipc_edge lookup_edge = {.name = "lmtp->lookup", .trust = IPC_FROM_ROLE};

static const struct ipc_edge *lmtp_edge(enum role_id peer)
{
    if (peer == ROLE_QUEUE)
        return &delivery_agent_edge;
    return peer == ROLE_LOOKUP ? &lookup_edge : NULL;
}

static void lmtp_start(const struct role_start *start)
{
    lmtp_settings_load(start->config);
    lmtp_connections_start();
    delivery_agent_start(lmtp_deliver, (unsigned)config_int(start->config, "delay_logging_resolution_limit"),
                         config_bool(start->config, "soft_bounce"),
                         config_bool(start->config, "address_verify_negative_cache"));
}

static void lmtp_drain(void)
{
    lmtp_connections_close();
    delivery_agent_drain();
}

const struct role lmtp_role = {
    .id = ROLE_LMTP,
    .wants_empty_root = true,
    .start = lmtp_start,
    .edge = lmtp_edge,
    .drain = lmtp_drain,
};
