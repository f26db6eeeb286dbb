/* SPDX-License-Identifier: ISC */
/*
 * lmtp: delivers mail over LMTP (RFC 2033), for master.cf's lmtp service. The queue asks (DELIVER), lookup
 * connects (CONNECT); this process talks to servers over the descriptors it is given, and can neither open a
 * file nor make a connection. A configuration change means a fresh process.
 */
#include "common/mail/queue_protocol.h"
#include "lmtp/lmtp.h"
#include "lmtp/role.h"

#define LARGEST_DELIVERY (16u * 1024 * 1024) /* inline content and a few thousand recipients */

static void lmtp_queue_lost(struct ipc_channel *channel)
{
    lmtp_deliver_forget(channel);
}

static const struct ipc_rule queue_rules[] = {
    {DELIVER, "DELIVER", IPC_REQUEST, false, IPC_ANY_STATE, LARGEST_DELIVERY, lmtp_deliver},
    {DELIVER_FD, "DELIVER_FD", IPC_REQUEST, true, IPC_ANY_STATE, LARGEST_DELIVERY, lmtp_deliver},
};
static const struct ipc_edge queue_edge = {
    .name = "lmtp<-queue",
    .trust = IPC_FROM_ROLE,
    .rules = queue_rules,
    .rule_count = sizeof queue_rules / sizeof queue_rules[0],
    .lost = lmtp_queue_lost,
};
/* lookup only answers. */
static const struct ipc_edge lookup_edge = {.name = "lmtp->lookup", .trust = IPC_FROM_ROLE};

static const struct ipc_edge *lmtp_edge(enum role_id peer)
{
    if (peer == ROLE_QUEUE)
        return &queue_edge;
    return peer == ROLE_LOOKUP ? &lookup_edge : NULL;
}

static void lmtp_start(const struct role_start *start)
{
    lmtp_settings_load(start->config);
    lmtp_connections_start();
}

const struct role lmtp_role = {
    .id = ROLE_LMTP,
    .wants_empty_root = true,
    .start = lmtp_start,
    .edge = lmtp_edge,
    .drain = lmtp_deliver_drain,
};
