/* SPDX-License-Identifier: ISC */
/*
 * Channels between processes: typed records over a SOCK_SEQPACKET socket, with descriptor passing.
 * What is sent during one turn of the loop leaves as few packets as possible. Records of any length
 * (up to IPC_RECORD_LIMIT) are cut into fragments and put together again here.
 *
 * Each side of an edge is a table of rules: which records it accepts, in which states, and who
 * handles them. Anything else is a violation: from a role it ends this process (that peer is broken
 * or compromised), from a local client it ends the connection.
 */
#ifndef POSTHORN_PROCESS_IPC_H
#define POSTHORN_PROCESS_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/process/ipc_codec.h"

#define IPC_RECORD_LIMIT (64u * 1024 * 1024)
#define IPC_ANY_STATE (~0u)

struct ipc_channel;

enum ipc_status {
    IPC_OK = 0,
    IPC_TIMEOUT,   /* no answer before the deadline; a late one is dropped */
    IPC_CANCELLED, /* this fiber was cancelled */
    IPC_LOST,      /* the peer is gone (crashed, restarted) or was never there */
};

/* One received record. Valid only until the handler returns: copy what outlives it. */
struct ipc_message {
    uint16_t type;
    uint32_t id;      /* for ipc_reply(); 0 for a notice */
    struct slice body;
    int fd;           /* -1 when none; the handler takes it by setting it to -1 */
};

enum ipc_kind { IPC_NOTICE, IPC_REQUEST };

struct ipc_rule {
    uint16_t type;
    const char *name;
    enum ipc_kind kind;
    bool carries_fd;     /* exactly one descriptor comes with it */
    unsigned states;     /* mask of channel states in which it is allowed */
    size_t max_size;     /* of the body */
    void (*handle)(struct ipc_channel *channel, struct ipc_message *message);
};

enum ipc_trust { IPC_FROM_ROLE, IPC_FROM_CLIENT };

/* One side of an edge between two kinds of process. */
struct ipc_edge {
    const char *name; /* "smtpd->queue" */
    enum ipc_trust trust;
    const struct ipc_rule *rules;
    size_t rule_count;
    /* The peer is gone: called once; afterwards the channel is freed unless the owner closed it. May be NULL. */
    void (*lost)(struct ipc_channel *channel);
    bool holds_secrets; /* passwords travel here: buffers are wiped after use */
};

/*
 * Takes over a connected, non-blocking SOCK_SEQPACKET descriptor and starts a fiber that receives.
 * Handlers run on that fiber; one that must wait spawns its own. owner is the caller's.
 */
struct ipc_channel *ipc_open(const struct ipc_edge *edge, int fd, void *owner);
/* Flushes, closes, fails pending calls with IPC_LOST. The channel must not be used afterwards. */
void ipc_close(struct ipc_channel *channel);

void *ipc_owner(const struct ipc_channel *channel);
/* For a channel that role.h opened: whatever the role wants to find again with ipc_owner(). */
void ipc_set_owner(struct ipc_channel *channel, void *owner);
/* No call waits for its answer and nothing is left to send. */
bool ipc_is_idle(const struct ipc_channel *channel);
const char *ipc_edge_name(const struct ipc_channel *channel);
void ipc_set_state(struct ipc_channel *channel, unsigned state); /* one bit; starts as 1 */
unsigned ipc_state(const struct ipc_channel *channel);
bool ipc_is_lost(const struct ipc_channel *channel);

/* Sends a notice. fd (or -1) is duplicated into the packet; the caller keeps its own. Never waits. With no descriptor free for
 * the copy, a role ends, and a channel whose peer is only a client does. */
void ipc_notify(struct ipc_channel *channel, uint16_t type, struct slice body, int fd);
void ipc_reply(struct ipc_channel *channel, uint32_t id, struct slice body, int fd);

/*
 * Sends a request and waits for its reply; only inside a fiber that is not this channel's own.
 * On IPC_OK *body holds the reply (the caller frees it with str_free) and *fd (may be NULL when none
 * is expected) a descriptor or -1.
 */
enum ipc_status ipc_call(struct ipc_channel *channel, uint16_t type, struct slice body, int send_fd,
                         struct str *reply, int *reply_fd, int64_t deadline) MUST_CHECK;

/*
 * The same without a fiber that waits: answer is called on the channel's fiber, with the reply or with IPC_LOST. It
 * must not wait; what it is given is valid during the call. Returns false, and will not call, when the channel is lost.
 */
typedef void ipc_answer_handler(void *context, enum ipc_status status, struct slice body);
bool ipc_request(struct ipc_channel *channel, uint16_t type, struct slice body, int send_fd,
                 ipc_answer_handler *answer, void *context) MUST_CHECK;

/* Waits until less than about 4 MB are queued for a slow peer. */
enum ipc_status ipc_wait_room(struct ipc_channel *channel, int64_t deadline) MUST_CHECK;
size_t ipc_queued(const struct ipc_channel *channel);

/* A handler found a record malformed. For a role this does not return. */
void ipc_violation(struct ipc_channel *channel, const char *what);

/* A pair of connected sockets for a channel, both non-blocking and close-on-exec. False with errno: no descriptor is free. */
bool ipc_try_socket_pair(int fds[2]) MUST_CHECK;
/* The same for who cannot go on without. */
void ipc_socket_pair(int fds[2]);

#endif
