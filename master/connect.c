/* SPDX-License-Identifier: ISC */
/*
 * connect: makes the channels between roles, as the graph has them. Called when a process starts (as client) and
 * when it serves (as server). The supervisor keeps neither end.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

/* A pair, and room for the copies that travel. */
static bool make_pair(int fds[2])
{
    if (!ipc_try_socket_pair(fds))
        return false;
    int copies[2] = {fcntl(fds[0], F_DUPFD_CLOEXEC, 3), fcntl(fds[1], F_DUPFD_CLOEXEC, 3)};
    bool fits = copies[0] >= 0 && copies[1] >= 0;
    int error = errno;
    for (int i = 0; i < 2; i++) {
        if (copies[i] >= 0)
            close(copies[i]);
        if (!fits)
            close(fds[i]);
    }
    errno = error;
    return fits;
}

/* One of them started just now: without its channel it is of no use, and is started again. */
static bool connect_pair(struct process *client, struct process *server, const struct process *started)
{
    int fds[2];
    if (client->channel == NULL || server->channel == NULL)
        return true;
    if (!make_pair(fds)) {
        log_warning("cannot connect %s to %s: %s", role_name(client->role), role_name(server->role), strerror(errno));
        process_end(started);
        return false;
    }
    send_end(server, client, false, fds[0]);
    send_end(client, server, true, fds[1]);
    close(fds[0]);
    close(fds[1]);
    return true;
}

void connect_as_client(struct process *process)
{
    struct process *server;
    TAILQ_FOREACH (server, &supervisor.processes, link)
        if (graph_has_edge(process->role, server->role) && server->ready && !server->draining &&
            !connect_pair(process, server, process))
            return;
}

void connect_as_server(struct process *process)
{
    struct process *client;
    TAILQ_FOREACH (client, &supervisor.processes, link)
        if (graph_has_edge(client->role, process->role) && !connect_pair(client, process, process))
            return;
}
