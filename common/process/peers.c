/* SPDX-License-Identifier: ISC */
/*
 * peers: the channels of a role to other roles. The supervisor sends a new one whenever either end was
 * started again. The newest channel to a server is the one in use; an older one that still works (its
 * server drains after a reload) is closed once its last call is answered.
 */
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role_internal.h"

#define RETIRE_STEP_MS 50
#define LEAVE_STEP_MS 500

struct peer {
    TAILQ_ENTRY(peer) link;
    enum role_id role;
    char *service;
    bool is_client; /* we ask, the peer answers */
    bool retired;   /* replaced by a newer channel */
    int fd;         /* not opened yet: we do not serve before start() returned */
    struct ipc_channel *channel;
};

static TAILQ_HEAD(peer_list, peer) peers = TAILQ_HEAD_INITIALIZER(peers);
static struct fiber_cond peers_changed;
/* The role's edges with our own `lost` in front of theirs. */
static struct ipc_edge peer_edges[ROLE_COUNT];
static void (*role_lost[ROLE_COUNT])(struct ipc_channel *channel);

static struct peer *peer_of_channel(const struct ipc_channel *channel)
{
    struct peer *peer;
    TAILQ_FOREACH (peer, &peers, link)
        if (peer->channel == channel)
            return peer;
    return NULL;
}

static void peer_free(struct peer *peer)
{
    TAILQ_REMOVE(&peers, peer, link);
    fiber_cond_broadcast(&peers_changed);
    free(peer->service);
    free(peer);
}

static void peer_lost(struct ipc_channel *channel)
{
    struct peer *peer = peer_of_channel(channel);
    if (peer == NULL)
        return;
    enum role_id role = peer->role;
    peer_free(peer);
    if (role_lost[role] != NULL)
        role_lost[role](channel);
}

static const struct ipc_edge *peer_edge(enum role_id role)
{
    const struct ipc_edge *edge = role_state.role->edge != NULL ? role_state.role->edge(role) : NULL;
    if (edge == NULL)
        return NULL;
    peer_edges[role] = *edge;
    peer_edges[role].lost = peer_lost;
    role_lost[role] = edge->lost;
    return &peer_edges[role];
}

static void peer_open(struct peer *peer)
{
    const struct ipc_edge *edge = peer_edge(peer->role);
    if (edge == NULL) {
        log_warning("no edge to a peer of kind %s", role_name(peer->role));
        close(peer->fd);
        peer_free(peer);
        return;
    }
    peer->channel = ipc_open(edge, peer->fd, NULL);
    peer->fd = -1;
    if (role_state.role->peer_opened != NULL)
        role_state.role->peer_opened(peer->role, peer->service, peer->channel);
    fiber_cond_broadcast(&peers_changed);
}

/* Keeps a replaced channel until its calls are answered. */
static void peer_retire_fiber(void *arg)
{
    const struct ipc_channel *channel = arg;
    struct peer *peer;
    while ((peer = peer_of_channel(channel)) != NULL && !ipc_is_idle(channel))
        if (fiber_sleep_until(deadline_in_ms(RETIRE_STEP_MS)) != WAIT_OK)
            return;
    if (peer == NULL)
        return;
    struct ipc_channel *idle = peer->channel;
    peer_free(peer);
    ipc_close(idle);
}

static void peers_retire(enum role_id role, const char *service)
{
    struct peer *peer;
    TAILQ_FOREACH (peer, &peers, link)
        if (peer->is_client && !peer->retired && peer->role == role && strcmp(peer->service, service) == 0) {
            peer->retired = true;
            fiber_spawn("retire-peer", peer_retire_fiber, peer->channel);
        }
}

void peers_add(const struct peer_record *record, int fd)
{
    enum role_id role = (enum role_id)record->role;
    if (record->is_client)
        peers_retire(role, record->service);
    struct peer *peer = mem_alloc(sizeof *peer);
    peer->role = role;
    peer->service = mem_strdup(record->service);
    peer->is_client = record->is_client;
    peer->fd = fd;
    TAILQ_INSERT_TAIL(&peers, peer, link);
    if (record->is_client || role_state.started)
        peer_open(peer);
}

void peers_role_started(void)
{
    struct peer *peer, *next;
    for (peer = TAILQ_FIRST(&peers); peer != NULL; peer = next) {
        next = TAILQ_NEXT(peer, link);
        if (peer->channel == NULL)
            peer_open(peer);
    }
}

/* Answers given in this turn of the loop are still here; their askers would ask, or deliver, again. */
void peers_flush(void)
{
    struct peer *peer;
    TAILQ_FOREACH (peer, &peers, link)
        if (peer->channel != NULL && !ipc_is_lost(peer->channel))
            ipc_close(peer->channel);
}

bool peers_have_clients(void)
{
    struct peer *peer;
    TAILQ_FOREACH (peer, &peers, link)
        if (!peer->is_client)
            return true;
    return false;
}

void peers_wait_for_clients_to_leave(int64_t deadline)
{
    while (peers_have_clients() && !role_state.stopping && clock_ms() < deadline)
        if (fiber_cond_wait(&peers_changed, deadline_in_ms(LEAVE_STEP_MS)) == WAIT_CANCELLED)
            return;
}

struct ipc_channel *role_peer(enum role_id role, const char *service)
{
    struct peer *peer;
    TAILQ_FOREACH (peer, &peers, link)
        if (peer->is_client && !peer->retired && peer->role == role && peer->channel != NULL &&
            !ipc_is_lost(peer->channel) && (service == NULL || strcmp(peer->service, service) == 0))
            return peer->channel;
    return NULL;
}

struct ipc_channel *role_wait_peer(enum role_id role, const char *service, int64_t deadline)
{
    struct ipc_channel *channel;
    while ((channel = role_peer(role, service)) == NULL)
        if (fiber_cond_wait(&peers_changed, deadline) != WAIT_OK)
            return NULL;
    return channel;
}

enum ipc_status role_call(enum role_id role, const char *service, uint16_t type, struct slice body,
                          struct str *reply, int *reply_fd, int64_t deadline)
{
    enum ipc_status status = IPC_LOST;
    for (int attempt = 0; attempt < 2 && status == IPC_LOST; attempt++) {
        struct ipc_channel *channel = role_wait_peer(role, service, deadline);
        if (channel == NULL) {
            *reply = STR_EMPTY;
            if (reply_fd != NULL)
                *reply_fd = -1;
            return clock_ms() >= deadline ? IPC_TIMEOUT : IPC_CANCELLED;
        }
        status = ipc_call(channel, type, body, -1, reply, reply_fd, deadline);
    }
    return status;
}
