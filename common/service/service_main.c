/* SPDX-License-Identifier: ISC */
/*
 * service_main: the life of a program that takes mail in. It holds client connections and nothing else: no file system, no
 * sockets of its own making, no keys, no passwords. Asks lookup about addresses and tables, the resolver about names,
 * and gives messages to the queue.
 */
#include "common/base/log.h"
#include "common/service/explain.h"
#include "common/service/limits.h"
#include "common/service/postscreen.h"
#include "common/service/proxy_filter.h"
#include "common/service/cleanup.h"
#include "common/service/service.h"
#include "common/state/state_client.h"
#include "common/tls/server.h"

#define STACK_SIZE (96 * 1024)

static const struct ipc_edge lookup_edge = {.name = "service->lookup", .trust = IPC_FROM_ROLE};
static const struct ipc_edge resolver_edge = {.name = "service->resolver", .trust = IPC_FROM_ROLE};
static const struct ipc_edge auth_edge = {.name = "service->auth", .trust = IPC_FROM_ROLE, .holds_secrets = true};
static const struct ipc_edge queue_edge = {.name = "service->queue", .trust = IPC_FROM_ROLE};

static void open_role(const struct role_start *start)
{
    client_name_open();
    smtpd_configure(start->config, start->service);
    cleanup_configure(start->config);
    proxy_filter_configure(start->config, &smtpd.server);
    service_tls_open(start->config, start->service);
    smtpd.server.policy = &service_policy;
    smtpd.behind_postscreen = postscreen_configure(start->config);
    if (smtpd.behind_postscreen && smtpd.behind_proxy)
        log_warning("ignoring non-empty smtpd_upstream_proxy_protocol setting behind postscreen");
    if (smtpd.behind_postscreen) /* limits are logged for the service behind: "smtpd" */
        smtpd.service = config_string_or_null(start->config, "service_name");
    auth_client_configure(start->config);
    login_configure(start->config);
}

static void start_role(const struct role_start *start)
{
    fiber_set_stack_size(STACK_SIZE);
    tls_server_start();
    trace_watch_log();
    limits_start(start->config);
    listener_start(start->listeners, start->listener_count);
}

static const struct ipc_edge *edge(enum role_id peer)
{
    return peer == ROLE_LOOKUP ? &lookup_edge : peer == ROLE_QUEUE ? &queue_edge :
           peer == ROLE_RESOLVER ? &resolver_edge : peer == ROLE_STATE ? &state_client_edge :
           peer == ROLE_AUTH ? &auth_edge : peer == ROLE_KEYS ? tls_server_edge() : NULL;
}

static void peer_opened(enum role_id peer, const char *service UNUSED, struct ipc_channel *channel UNUSED)
{
    if (peer == ROLE_QUEUE)
        queue_client_reset();
    if (peer == ROLE_KEYS)
        tls_server_peer_opened();
}

int service_main(enum role_id id, int argc, char **argv)
{
    const struct role role = {
        .id = id,
        .rights = RIGHT_ACCEPT,
        .wants_empty_root = true,
        .max_open_files = 12288, /* ten thousand clients, two thousand spool files */
        .open = open_role,
        .start = start_role,
        .edge = edge,
        .peer_opened = peer_opened,
        .drain = listener_drain,
        .explain = service_explain,
    };
    return role_main(&role, argc, argv);
}
