/* SPDX-License-Identifier: ISC */
/*
 * queue: sole owner of the spool. Takes mail in from smtpd and its like, keeps it safe, gives it to the delivery
 * agents, tries again, and tells senders what could not be done. It may write below queue_directory and
 * accept on two local sockets; it has no network. A new configuration is taken over in place.
 */
#include "queue/role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"
#include "common/state/state_client.h"
#include "queue/queue.h"

#define MOST_SPARE_SEGMENTS 4
#define BUSY_WAIT_S 10 /* for a predecessor to let go of the spool */
#define DRAIN_WAIT_MS 30000
#define STOP_WAIT_MS 1500 /* the supervisor allows 2500 */
#define MOST_FILES 4096

uint32_t queue_segment_size = SEGMENT_SIZE;
static const char *spool_directories[2];
static int queue_directory = -1;

static const char *const *queue_directories(const struct role_start *start UNUSED)
{
    return spool_directories;
}

/* Still with the supervisor's rights: user names are resolved here, nothing of the spool is touched. */
static void queue_open(const struct role_start *start)
{
    const char *path = config_string(start->config, "queue_directory");
    spool_directories[0] = mem_strdup(path);
    queue_directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (queue_directory < 0)
        log_fatal("queue_directory %s: %s", path, strerror(errno));
    control_open(start->config);
}

/* --- what a start finds --------------------------------------------------------------------- */

static void queue_found_in_journal(const struct found_message *found, struct active *active)
{
    struct stored_message stored;
    journal_place_set(&active->place, found->segment, found->offset, (uint32_t)found->frame.len);
    if (message_from_frame(found->frame, active->arena, &stored) != STORED_OK)
        log_panic("%s: a message that was good is not", found->queue_id);
    active->envelope = stored.envelope;
    active->recipients = stored.recipients;
    active->targets = arena_alloc_array(active->arena, stored.envelope.recipient_count, sizeof(struct target));
    active->content_offset = stored.content_offset;
    active->content_size = stored.frame.content_len;
    active->content_hash = stored.frame.content_hash;
    for (size_t i = 0; i < found->done_count; i++)
        if (found->done[i] < stored.envelope.recipient_count)
            active->recipients[found->done[i]].done = true;
}

static void queue_found(void *context UNUSED, const struct found_message *found)
{
    if (message_find(found->serial) != NULL) {
        log_warning("%s: another message has this serial number; left alone", found->queue_id);
        return;
    }
    struct message *message = message_new(found->serial, found->queue_id, found->where);
    if (found->where == PLACE_JOURNAL)
        queue_found_in_journal(found, active_new(message));
    schedule_wait(message, 0);
}

static void queue_open_spool(void)
{
    struct spool_options options = {.segment_size = queue_segment_size, .most_spare = MOST_SPARE_SEGMENTS,
                                    .fill_later = true};
    int64_t deadline = deadline_in_s(BUSY_WAIT_S);
    const char *failed = "";
    enum spool_open_status status;
    for (;;) {
        int directory = fcntl(queue_directory, F_DUPFD_CLOEXEC, 3);
        status = spool_open(&spool, directory, &options, queue_found, NULL, &failed);
        if (status != SPOOL_BUSY || clock_ms() >= deadline)
            break;
        spool_close(&spool);
        if (fiber_sleep_until(deadline_in_ms(20)) != WAIT_OK)
            break;
    }
    if (status == SPOOL_BUSY)
        log_fatal("the queue is in use by another process");
    if (status != SPOOL_OPENED)
        log_fatal("cannot open the queue: %s: %s", failed, strerror(errno));
}

/* --- local sockets ------------------------------------------------------------------------------ */

struct listener {
    struct fiber_fd handle;
    void (*serve)(int fd);
};

static void listener_fiber(void *arg)
{
    struct listener *listener = arg;
    for (;;) {
        int fd = accept4(listener->handle.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            listener->serve(fd);
        } else if (errno == EAGAIN) {
            if (fiber_wait_fd(&listener->handle, FIBER_READ, CLOCK_NEVER) == WAIT_CANCELLED)
                return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            log_warning("accept: %s", strerror(errno));
            if (fiber_sleep_until(deadline_in_s(1)) == WAIT_CANCELLED)
                return;
        }
    }
}

static void queue_listen(const struct role_start *start)
{
    for (size_t i = 0; i < start->listener_count; i++) {
        const char *name = start->listener_names[i];
        struct listener *listener = mem_alloc(sizeof *listener);
        fiber_fd_init(&listener->handle, start->listeners[i]);
        listener->serve = strstr(name, "showq") != NULL ? showq_serve : control_serve;
        fiber_spawn(name, listener_fiber, listener);
    }
}

/* --- life ------------------------------------------------------------------------------------------ */

static void queue_start(const struct role_start *start)
{
    settings_load(start->config);
    queue_open_spool();
    disk_start();
    schedule_start();
    load_start();
    queue_listen(start);
}

/* lookup, state and the delivery agents only answer. */
static const struct ipc_edge lookup_edge = {.name = "queue->lookup", .trust = IPC_FROM_ROLE};
static const struct ipc_edge agent_edge = {.name = "queue->agent", .trust = IPC_FROM_ROLE};

static const struct ipc_edge *queue_edge(enum role_id peer)
{
    switch (peer) {
    case ROLE_SMTPD:
    case ROLE_SUBMISSION:
        return &intake_edge;
    case ROLE_LOOKUP:
        return &lookup_edge;
    case ROLE_STATE:
        return &state_client_edge;
    case ROLE_LMTP:
    case ROLE_SMTP:
    case ROLE_VIRTUAL:
        return &agent_edge;
    default:
        return NULL;
    }
}

static void peers_fiber(void *arg UNUSED)
{
    route_peer_opened();
    transport_peer_opened();
}

static void queue_peer_opened(enum role_id peer, const char *service UNUSED, struct ipc_channel *channel)
{
    if (peer == ROLE_SMTPD || peer == ROLE_SUBMISSION)
        intake_peer_opened(channel);
    else /* the role knows the channel only when this returns */
        fiber_spawn("peer", peers_fiber, NULL);
}

static void queue_reload(const struct config *config)
{
    settings_load(config);
    transport_reload();
}

/* Of several recipients some may have the message: they are not to get it again after a restart. */
static void queue_note_done(struct message *message, void *context UNUSED)
{
    if (message->state == MESSAGE_ACTIVE && !message->active->evacuating)
        store_note_done(message);
}

/*
 * Everything acknowledged is durable already; what is left is to write down what was delivered. A delivery whose result
 * is not awaited is made again: while the server stops, at least those that take no longer than usual are awaited.
 */
static void queue_drain(void)
{
    int64_t deadline = deadline_in_ms(role_is_stopping() ? STOP_WAIT_MS : DRAIN_WAIT_MS);
    while ((!intake_is_idle() || !bounces_are_idle() || transport_in_flight() > 0) && clock_ms() < deadline)
        if (fiber_sleep_until(deadline_in_ms(20)) != WAIT_OK)
            break;
    message_each(queue_note_done, NULL);
    disk_drain();
    spool_close(&spool);
    role_finished();
}

const struct role queue_role = {
    .id = ROLE_QUEUE,
    .rights = RIGHT_READ_FILES | RIGHT_WRITE_FILES | RIGHT_THREADS | RIGHT_ACCEPT | RIGHT_PASS_FD,
    .directories = queue_directories,
    .max_open_files = MOST_FILES,
    .open = queue_open,
    .start = queue_start,
    .edge = queue_edge,
    .peer_opened = queue_peer_opened,
    .reload = queue_reload,
    .drain = queue_drain,
};
