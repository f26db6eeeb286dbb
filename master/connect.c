/* SPDX-License-Identifier: ISC */
/*
 * connect: makes the channels between roles, as the graph has them. Called when a process starts (as client) and
 * when it serves (as server). The supervisor keeps neither end.
 */
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/ipc.h"
#include "common/process/master_protocol.h"
#include "master/graph.h"
#include "master/supervisor.h"

static void send_end(struct process *to, const struct process *peer, bool is_client, int fd)
{
    struct peer_record record = {(uint8_t)peer->role, peer->service, is_client};
    struct str body = STR_EMPTY;
    peer_record_encode(&record, &body);
    ipc_notify(to->channel, MASTER_PEER, str_slice(&body), fd);
    str_free(&body);
}

static void connect_pair(struct process *client, struct process *server)
{
    int fds[2];
    if (client->channel == NULL || server->channel == NULL)
        return;
    ipc_socket_pair(fds);
    send_end(server, client, false, fds[0]);
    send_end(client, server, true, fds[1]);
    close(fds[0]);
    close(fds[1]);
}

void connect_as_client(struct process *process)
{
    struct process *server;
    TAILQ_FOREACH (server, &supervisor.processes, link)
        if (graph_has_edge(process->role, server->role) && server->ready && !server->draining)
            connect_pair(process, server);
}

void connect_as_server(struct process *process)
{
    struct process *client;
    TAILQ_FOREACH (client, &supervisor.processes, link)
        if (graph_has_edge(client->role, process->role))
            connect_pair(client, process);
}
