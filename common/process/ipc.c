/* SPDX-License-Identifier: ISC */
/*
 * ipc: record channels between processes. Used by every role; parses bytes that may come from a
 * compromised peer, so every length is checked before use and every rule is a table entry.
 *
 * A packet is a row of records: {u32 length, u16 type, u16 flags, u32 id} and the body, in the
 * machine's byte order (both ends are on one machine). A record with a descriptor ends its packet.
 */
#include "common/process/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/ipc_socket.h"

#define PACKET_SIZE IPC_PACKET_SIZE
#define QUEUE_HIGH_WATER (4u * 1024 * 1024)
#define SOCKET_BUFFER (1024 * 1024)
#define PACKETS_IN_A_ROW 16 /* from one peer, before other fibers get a turn */
#define MOST_UNANSWERED 16384 /* requests of one peer; then it is not read until some are answered */

enum {
    FLAG_REQUEST = 1, /* wants a reply */
    FLAG_REPLY = 2,
    FLAG_MORE = 4,    /* the record goes on in the next one */
    FLAG_FD = 8,
    FLAG_ALL = 15,
};

struct record_header {
    uint32_t length;
    uint16_t type;
    uint16_t flags;
    uint32_t id;
};

struct packet {
    TAILQ_ENTRY(packet) link;
    int fd;
    size_t len;
    char data[PACKET_SIZE];
};

struct pending_call {
    uint32_t id;
    struct fiber_cond done;
    enum ipc_status status;
    bool answered;
    struct str body;
    int fd;
    ipc_answer_handler *answer; /* of ipc_request(): this struct is on the heap, and nobody waits */
    void *context;
    UT_hash_handle hh;
};

struct ipc_channel {
    const struct ipc_edge *edge;
    struct fiber_fd handle;
    void *owner;
    unsigned state;
    bool lost;
    bool closing;  /* ipc_close was called: the receiving fiber frees the channel */
    bool writing;  /* a fiber waits for the socket to take more */
    struct fiber *receiver;
    struct fiber *writer;
    TAILQ_HEAD(packet_queue, packet) out;
    size_t queued;
    size_t unanswered; /* requests that were handled and not replied to */
    size_t abandoned;  /* our calls that were given up: their answers may still come */
    struct fiber_turn_hook flush_hook;
    struct fiber_cond room;
    struct pending_call *pending;
    uint32_t last_id;
    struct str partial; /* fragments of the record being received */
    char *in;           /* PACKET_SIZE */
};

static struct packet *spare_packets[16];
static size_t spare_packet_count;

/* --- sending ----------------------------------------------------------------- */

static struct packet *packet_new(void)
{
    struct packet *packet = spare_packet_count > 0 ? spare_packets[--spare_packet_count] :
                            mem_realloc_array(NULL, 1, sizeof *packet);
    packet->fd = -1;
    packet->len = 0;
    return packet;
}

static void packet_free(struct packet *packet)
{
    if (packet->fd >= 0)
        close(packet->fd);
    if (spare_packet_count < sizeof spare_packets / sizeof spare_packets[0])
        spare_packets[spare_packet_count++] = packet;
    else
        free(packet);
}

/* Sends what the socket takes. True when nothing is left. */
static bool ipc_flush(struct ipc_channel *channel)
{
    struct packet *packet;
    while ((packet = TAILQ_FIRST(&channel->out)) != NULL) {
        if (!ipc_socket_send(channel->handle.fd, packet->data, packet->len, packet->fd))
            return false;
        TAILQ_REMOVE(&channel->out, packet, link);
        channel->queued -= packet->len;
        if (channel->edge->holds_secrets)
            mem_wipe(packet->data, packet->len);
        packet_free(packet);
    }
    if (channel->queued < QUEUE_HIGH_WATER)
        fiber_cond_broadcast(&channel->room);
    return true;
}

static void ipc_write_fiber(void *arg)
{
    struct ipc_channel *channel = arg;
    while (!channel->lost && !ipc_flush(channel))
        if (fiber_wait_fd(&channel->handle, FIBER_WRITE, CLOCK_NEVER) != WAIT_OK)
            break;
    channel->writer = NULL;
    channel->writing = false;
    fiber_cond_broadcast(&channel->room);
}

static void ipc_flush_hook(struct fiber_turn_hook *hook)
{
    struct ipc_channel *channel = (void *)((char *)hook - offsetof(struct ipc_channel, flush_hook));
    if (channel->lost || channel->writing || ipc_flush(channel))
        return;
    channel->writing = true;
    channel->writer = fiber_spawn("ipc-writer", ipc_write_fiber, channel);
}

static struct packet *ipc_packet_with_room(struct ipc_channel *channel, size_t wanted)
{
    struct packet *last = TAILQ_LAST(&channel->out, packet_queue);
    if (last != NULL && last->fd < 0 && PACKET_SIZE - last->len >= wanted)
        return last;
    last = packet_new();
    TAILQ_INSERT_TAIL(&channel->out, last, link);
    return last;
}

static void ipc_append_record(struct ipc_channel *channel, struct record_header header, struct slice body,
                              int fd)
{
    struct packet *packet = ipc_packet_with_room(channel, sizeof header + body.len);
    header.length = (uint32_t)body.len;
    memcpy(packet->data + packet->len, &header, sizeof header);
    if (body.len > 0)
        memcpy(packet->data + packet->len + sizeof header, body.data, body.len);
    packet->len += sizeof header + body.len;
    channel->queued += sizeof header + body.len;
    packet->fd = fd;
}

/* With no descriptor left, those of packets that can leave now make room for one. */
static int ipc_duplicate(struct ipc_channel *channel, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0 && errno == EMFILE && !channel->writing) {
        (void)ipc_flush(channel);
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    return copy;
}

/* What cannot be sent was promised to the peer: it must learn that. */
static void ipc_end_unsent(struct ipc_channel *channel)
{
    if (channel->edge->trust == IPC_FROM_ROLE)
        log_fatal("%s: cannot duplicate a descriptor: %s", channel->edge->name, strerror(errno));
    log_warning("%s: cannot duplicate a descriptor: %s", channel->edge->name, strerror(errno));
    channel->closing = true;
    if (channel->receiver != NULL && channel->receiver != fiber_self())
        fiber_cancel(channel->receiver);
}

static void ipc_send(struct ipc_channel *channel, struct record_header header, struct slice body, int fd)
{
    const size_t largest = PACKET_SIZE - sizeof header;
    if (body.len > IPC_RECORD_LIMIT)
        log_panic("%s: record %u is too long: %zu bytes", channel->edge->name, header.type, body.len);
    if (channel->lost)
        return;
    uint16_t flags = header.flags;
    while (body.len > largest) {
        header.flags = flags | FLAG_MORE;
        ipc_append_record(channel, header, slice_range(body.data, largest), -1);
        body = slice_skip(body, largest);
    }
    header.flags = fd >= 0 ? flags | FLAG_FD : flags;
    int copy = fd >= 0 ? ipc_duplicate(channel, fd) : -1;
    if (fd >= 0 && copy < 0) {
        ipc_end_unsent(channel);
        return;
    }
    ipc_append_record(channel, header, body, copy);
    fiber_at_turn_end(&channel->flush_hook);
}

void ipc_notify(struct ipc_channel *channel, uint16_t type, struct slice body, int fd)
{
    ipc_send(channel, (struct record_header){.type = type}, body, fd);
}

void ipc_reply(struct ipc_channel *channel, uint32_t id, struct slice body, int fd)
{
    if (channel->unanswered > 0 && channel->unanswered-- == MOST_UNANSWERED)
        fiber_cond_broadcast(&channel->room);
    ipc_send(channel, (struct record_header){.flags = FLAG_REPLY, .id = id}, body, fd);
}

size_t ipc_queued(const struct ipc_channel *channel)
{
    return channel->queued;
}

enum ipc_status ipc_wait_room(struct ipc_channel *channel, int64_t deadline)
{
    while (!channel->lost && channel->queued >= QUEUE_HIGH_WATER) {
        enum wait_status status = fiber_cond_wait(&channel->room, deadline);
        if (status != WAIT_OK)
            return status == WAIT_TIMEOUT ? IPC_TIMEOUT : IPC_CANCELLED;
    }
    return channel->lost ? IPC_LOST : IPC_OK;
}

enum ipc_status ipc_call(struct ipc_channel *channel, uint16_t type, struct slice body, int send_fd,
                         struct str *reply, int *reply_fd, int64_t deadline)
{
    *reply = STR_EMPTY;
    if (reply_fd != NULL)
        *reply_fd = -1;
    if (channel->lost)
        return IPC_LOST;
    if (fiber_self() == NULL || fiber_self() == channel->receiver)
        log_panic("%s: a call from %s could never be answered", channel->edge->name,
                  fiber_name(fiber_self()));
    struct pending_call call = {.fd = -1, .status = ipc_wait_room(channel, deadline)};
    if (call.status != IPC_OK) /* it does not read: what we ask would only pile up here */
        return call.status;
    do
        call.id = ++channel->last_id;
    while (call.id == 0);
    HASH_ADD(hh, channel->pending, id, sizeof call.id, &call);
    struct record_header header = {.type = type, .flags = FLAG_REQUEST, .id = call.id};
    ipc_send(channel, header, body, send_fd);
    while (!call.answered && call.status == IPC_OK) {
        enum wait_status status = fiber_cond_wait(&call.done, deadline);
        if (!call.answered && call.status == IPC_OK && status != WAIT_OK)
            call.status = status == WAIT_TIMEOUT ? IPC_TIMEOUT : IPC_CANCELLED;
    }
    if (!call.answered && call.status != IPC_LOST) {
        HASH_DEL(channel->pending, &call);
        channel->abandoned++;
    }
    *reply = call.body;
    if (reply_fd != NULL)
        *reply_fd = call.fd;
    else if (call.fd >= 0)
        close(call.fd);
    return call.answered ? IPC_OK : call.status;
}

bool ipc_request(struct ipc_channel *channel, uint16_t type, struct slice body, int send_fd,
                 ipc_answer_handler *answer, void *context)
{
    if (channel->lost)
        return false;
    struct pending_call *call = mem_alloc(sizeof *call);
    call->answer = answer;
    call->context = context;
    call->fd = -1;
    do
        call->id = ++channel->last_id;
    while (call->id == 0);
    HASH_ADD(hh, channel->pending, id, sizeof call->id, call);
    ipc_send(channel, (struct record_header){.type = type, .flags = FLAG_REQUEST, .id = call->id}, body, send_fd);
    return true;
}

/* --- receiving ----------------------------------------------------------------- */

void ipc_violation(struct ipc_channel *channel, const char *what)
{
    if (channel->edge->trust == IPC_FROM_ROLE)
        log_fatal("%s: protocol violation: %s", channel->edge->name, what);
    log_warning("%s: protocol violation: %s", channel->edge->name, what);
    channel->closing = true;
}

static void ipc_take_reply(struct ipc_channel *channel, struct ipc_message *message)
{
    struct pending_call *call;
    HASH_FIND(hh, channel->pending, &message->id, sizeof message->id, call);
    if (call == NULL) { /* the caller gave up */
        channel->abandoned -= channel->abandoned > 0;
        return;
    }
    HASH_DEL(channel->pending, call);
    if (call->answer != NULL) {
        call->answer(call->context, IPC_OK, message->body);
        free(call);
        return;
    }
    str_append_slice(&call->body, message->body);
    call->fd = message->fd;
    message->fd = -1;
    call->answered = true;
    fiber_cond_signal(&call->done);
}

static const struct ipc_rule *ipc_find_rule(const struct ipc_edge *edge, uint16_t type)
{
    for (size_t i = 0; i < edge->rule_count; i++)
        if (edge->rules[i].type == type)
            return &edge->rules[i];
    return NULL;
}

static void ipc_dispatch(struct ipc_channel *channel, struct ipc_message *message, uint16_t flags)
{
    if (flags & FLAG_REPLY) {
        ipc_take_reply(channel, message);
        return;
    }
    const struct ipc_rule *rule = ipc_find_rule(channel->edge, message->type);
    bool is_request = (flags & FLAG_REQUEST) != 0;
    if (rule == NULL)
        ipc_violation(channel, "unknown record type");
    else if ((rule->states & channel->state) == 0)
        ipc_violation(channel, rule->name);
    else if (message->body.len > rule->max_size)
        ipc_violation(channel, "record too long");
    else if (is_request != (rule->kind == IPC_REQUEST) || (is_request && message->id == 0))
        ipc_violation(channel, "request and notice confused");
    else if ((message->fd >= 0) != rule->carries_fd)
        ipc_violation(channel, "descriptor missing or unexpected");
    else {
        channel->unanswered += is_request;
        rule->handle(channel, message);
    }
}

/* What one record may come to. Many clients may connect: none of them makes us keep more than a rule allows. */
static size_t ipc_record_limit(const struct ipc_channel *channel, uint16_t flags)
{
    size_t limit = 0;
    bool is_awaited = (flags & FLAG_REPLY) != 0 && (channel->pending != NULL || channel->abandoned > 0);
    if (channel->edge->trust == IPC_FROM_ROLE || is_awaited)
        return IPC_RECORD_LIMIT;
    for (size_t i = 0; i < channel->edge->rule_count; i++)
        if (channel->edge->rules[i].max_size > limit)
            limit = channel->edge->rules[i].max_size;
    return limit;
}

/* Handles one record; fragments are put together first. *fd is the packet's descriptor, or -1. */
static void ipc_take_record(struct ipc_channel *channel, const struct record_header *header,
                            struct slice body, int *fd)
{
    if (channel->partial.len + body.len > ipc_record_limit(channel, header->flags)) {
        ipc_violation(channel, "record too long");
        return;
    }
    if (header->flags & FLAG_MORE) {
        str_append_slice(&channel->partial, body);
        return;
    }
    struct str whole = channel->partial;
    channel->partial = STR_EMPTY;
    if (whole.len > 0) {
        str_append_slice(&whole, body);
        body = str_slice(&whole);
    }
    struct ipc_message message = {header->type, header->id, body, -1};
    if (header->flags & FLAG_FD) {
        message.fd = *fd;
        *fd = -1;
    }
    ipc_dispatch(channel, &message, header->flags);
    if (message.fd >= 0)
        close(message.fd);
    if (channel->edge->holds_secrets && whole.data != NULL)
        mem_wipe(whole.data, whole.cap);
    str_free(&whole);
}

static void ipc_take_packet(struct ipc_channel *channel, size_t len, int fd)
{
    size_t at = 0;
    while (at < len && !channel->closing) {
        struct record_header header;
        if (len - at < sizeof header) {
            ipc_violation(channel, "truncated header");
            break;
        }
        memcpy(&header, channel->in + at, sizeof header);
        at += sizeof header;
        if (header.length > len - at || (header.flags & ~FLAG_ALL) != 0) {
            ipc_violation(channel, "bad header");
            break;
        }
        struct slice body = {channel->in + at, header.length};
        at += header.length;
        ipc_take_record(channel, &header, body, &fd);
    }
    if (channel->edge->holds_secrets)
        mem_wipe(channel->in, len);
    if (fd >= 0)
        close(fd);
}

static void ipc_free(struct ipc_channel *channel)
{
    fiber_turn_cancel(&channel->flush_hook);
    struct packet *packet;
    while ((packet = TAILQ_FIRST(&channel->out)) != NULL) {
        TAILQ_REMOVE(&channel->out, packet, link);
        packet_free(packet);
    }
    if (channel->handle.fd >= 0)
        fiber_fd_close(&channel->handle);
    str_free(&channel->partial);
    free(channel->in);
    free(channel);
}

static void ipc_fail_pending(struct ipc_channel *channel)
{
    struct pending_call *call, *next;
    HASH_ITER(hh, channel->pending, call, next) {
        HASH_DEL(channel->pending, call);
        if (call->answer != NULL) {
            call->answer(call->context, IPC_LOST, SLICE(""));
            free(call);
            continue;
        }
        call->status = IPC_LOST;
        fiber_cond_signal(&call->done);
    }
    fiber_cond_broadcast(&channel->room);
}

static bool ipc_serves(const struct ipc_edge *edge)
{
    for (size_t i = 0; i < edge->rule_count; i++)
        if (edge->rules[i].kind == IPC_REQUEST)
            return true;
    return false;
}

/*
 * Whoever asks without reading the answers, or more than can be answered, is not listened to: nothing grows here. The other
 * side of such an edge only asks, and always reads, so the two never wait for each other.
 */
static enum wait_status ipc_wait_turn(struct ipc_channel *channel)
{
    enum wait_status status = WAIT_OK;
    while (status == WAIT_OK && !channel->closing &&
           (channel->queued >= QUEUE_HIGH_WATER || channel->unanswered >= MOST_UNANSWERED))
        status = fiber_cond_wait(&channel->room, CLOCK_NEVER);
    return status;
}

static void ipc_receive_fiber(void *arg)
{
    struct ipc_channel *channel = arg;
    const bool serves = ipc_serves(channel->edge);
    unsigned packets = 0;
    while (!channel->closing) {
        int fd;
        size_t len;
        if (serves && ipc_wait_turn(channel) != WAIT_OK)
            break;
        enum ipc_arrival arrival = ipc_socket_receive(channel->handle.fd, channel->in, &len, &fd);
        if (arrival == IPC_END)
            break;
        if (arrival == IPC_NONE) {
            if (fiber_wait_fd(&channel->handle, FIBER_READ, CLOCK_NEVER) == WAIT_CANCELLED)
                break;
            continue;
        }
        if (arrival == IPC_TOO_MUCH) {
            ipc_violation(channel, "truncated packet, or too many descriptors");
            break;
        }
        if (arrival == IPC_ARRIVED_WITHOUT)
            log_warning("%s: a descriptor is lost: %s", channel->edge->name, strerror(EMFILE));
        ipc_take_packet(channel, len, fd);
        if (++packets % PACKETS_IN_A_ROW == 0 && fiber_yield() != WAIT_OK)
            break;
    }
    bool tell = !channel->lost && channel->edge->lost != NULL;
    channel->lost = true;
    ipc_fail_pending(channel);
    if (tell)
        channel->edge->lost(channel);
    if (channel->writer != NULL) {
        fiber_cancel(channel->writer);
        while (channel->writer != NULL)
            (void)fiber_yield();
    }
    /* Fibers that were told of the loss look at the channel once more before it goes. */
    channel->receiver = NULL;
    (void)fiber_yield();
    (void)fiber_yield();
    ipc_free(channel);
}

/* --- life ------------------------------------------------------------------------ */

struct ipc_channel *ipc_open(const struct ipc_edge *edge, int fd, void *owner)
{
    struct ipc_channel *channel = mem_alloc(sizeof *channel);
    channel->edge = edge;
    channel->owner = owner;
    channel->state = 1;
    channel->flush_hook.run = ipc_flush_hook;
    TAILQ_INIT(&channel->out);
    channel->in = mem_realloc_array(NULL, PACKET_SIZE, 1);
    fiber_fd_init(&channel->handle, fd);
    channel->receiver = fiber_spawn(edge->name, ipc_receive_fiber, channel);
    return channel;
}

void ipc_close(struct ipc_channel *channel)
{
    fiber_turn_cancel(&channel->flush_hook);
    if (!channel->lost)
        (void)ipc_flush(channel);
    channel->lost = true;
    channel->closing = true;
    if (channel->receiver != NULL && channel->receiver != fiber_self())
        fiber_cancel(channel->receiver);
}

void *ipc_owner(const struct ipc_channel *channel) { return channel->owner; }
void ipc_set_owner(struct ipc_channel *channel, void *owner) { channel->owner = owner; }
bool ipc_is_idle(const struct ipc_channel *channel) { return channel->pending == NULL && channel->queued == 0; }
const char *ipc_edge_name(const struct ipc_channel *channel) { return channel->edge->name; }
void ipc_set_state(struct ipc_channel *channel, unsigned state) { channel->state = state; }
unsigned ipc_state(const struct ipc_channel *channel) { return channel->state; }
bool ipc_is_lost(const struct ipc_channel *channel) { return channel->lost; }

bool ipc_try_socket_pair(int fds[2])
{
    int size = SOCKET_BUFFER;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return false;
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
            log_warning("cannot enlarge a channel's buffer: %s", strerror(errno));
    return true;
}

void ipc_socket_pair(int fds[2])
{
    if (!ipc_try_socket_pair(fds))
        log_fatal("socketpair: %s", strerror(errno));
}
