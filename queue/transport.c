/* SPDX-License-Identifier: ISC */
/*
 * transport: where deliveries queue up by transport and next hop, how many run at once, and what the agents
 * answer. A destination's concurrency grows with success and shrinks with failure; one that is dead is left
 * alone for minimal_backoff_time. error:, retry: and discard: are decided here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role.h"
#include "queue/queue.h"

#define UNAVAILABLE_AFTER_MS 5000 /* a transport without a process for so long defers its mail */
#define IDLE_DESTINATION_MS 60000 /* then it is forgotten */
#define MOST_LOSSES 3             /* deliveries of one job that ended with the agent */

struct transport;

/* Recipients of one message for one destination, in one delivery. */
struct job {
    TAILQ_ENTRY(job) link;
    struct active *active;
    struct destination *destination;
    unsigned losses;
    size_t count;
    uint32_t indexes[];
};
TAILQ_HEAD(job_list, job);

struct destination {
    struct transport *transport;
    struct job_list jobs;
    unsigned window, in_flight;
    unsigned successes;   /* since the window last grew */
    double failed_cohorts;
    int64_t dead_until;   /* clock_ms(); 0: alive */
    char *dead_reason;
    char dead_dsn[16];
    int64_t idle_since;
    UT_hash_handle hh;
    char next_hop[];
};

struct transport {
    struct destination *destinations;
    size_t recipient_limit;
    unsigned concurrency_limit, initial_concurrency, cohort_limit;
    int64_t down_since; /* clock_ms(); 0: there is a process */
    UT_hash_handle hh;
    char name[];
};

static struct transport *transports;
static size_t in_flight;

size_t transport_in_flight(void) { return in_flight; }

/* --- finding --------------------------------------------------------------------------------- */

static void transport_configure(struct transport *transport)
{
    const struct config *config = settings.config;
    const char *name = transport->name;
    transport->recipient_limit = (size_t)config_transport_int(config, name, "_destination_recipient_limit",
                                                              "default_destination_recipient_limit");
    transport->concurrency_limit = (unsigned)config_transport_int(
        config, name, "_destination_concurrency_limit", "default_destination_concurrency_limit");
    transport->initial_concurrency = (unsigned)config_transport_int(config, name, "_initial_destination_concurrency",
                                                                    "initial_destination_concurrency");
    transport->cohort_limit =
        (unsigned)config_transport_int(config, name, "_destination_concurrency_failed_cohort_limit",
                                       "default_destination_concurrency_failed_cohort_limit");
    if (transport->concurrency_limit == 0)
        transport->concurrency_limit = UINT32_MAX;
    if (transport->initial_concurrency > transport->concurrency_limit)
        transport->initial_concurrency = transport->concurrency_limit;
    if (transport->initial_concurrency == 0)
        transport->initial_concurrency = 1;
    if (transport->recipient_limit == 0)
        transport->recipient_limit = SIZE_MAX;
}

static struct transport *transport_find(const char *name)
{
    struct transport *transport;
    size_t len = strlen(name);
    HASH_FIND(hh, transports, name, len, transport);
    if (transport != NULL)
        return transport;
    transport = mem_alloc(sizeof *transport + len + 1);
    memcpy(transport->name, name, len);
    transport_configure(transport);
    HASH_ADD_KEYPTR(hh, transports, transport->name, len, transport);
    return transport;
}

static struct destination *destination_find(struct transport *transport, const char *next_hop)
{
    struct destination *destination;
    size_t len = strlen(next_hop);
    HASH_FIND(hh, transport->destinations, next_hop, len, destination);
    if (destination != NULL)
        return destination;
    destination = mem_alloc(sizeof *destination + len + 1);
    memcpy(destination->next_hop, next_hop, len);
    destination->transport = transport;
    destination->window = transport->initial_concurrency;
    TAILQ_INIT(&destination->jobs);
    HASH_ADD_KEYPTR(hh, transport->destinations, destination->next_hop, len, destination);
    return destination;
}

static struct ipc_channel *transport_channel(const struct transport *transport)
{
    static const enum role_id agents[] = {ROLE_LMTP, ROLE_VIRTUAL, ROLE_SMTP};
    for (size_t i = 0; i < sizeof agents / sizeof agents[0]; i++) {
        struct ipc_channel *channel = role_peer(agents[i], transport->name);
        if (channel != NULL)
            return channel;
    }
    return NULL;
}

/* --- the end of a job -------------------------------------------------------------------- */

static void job_finish(struct job *job)
{
    struct active *active = job->active;
    free(job);
    active->jobs--;
    settle_check(active);
}

static void job_decide(struct job *job, const char *component, enum delivery_status status, const char *dsn,
                       const char *reason)
{
    for (size_t i = 0; i < job->count; i++)
        settle_locally(job->active, job->indexes[i], component, status, dsn, reason);
    job_finish(job);
}

static void job_suspend(struct job *job)
{
    const struct destination *destination = job->destination;
    struct str reason = STR_EMPTY;
    str_printf(&reason, "delivery temporarily suspended: %s", destination->dead_reason);
    job_decide(job, "error", DELIVERY_DEFERRED, destination->dead_dsn, str_text(&reason));
    str_free(&reason);
}

/* --- how a destination does -------------------------------------------------------------------- */

static void destination_succeeded(struct destination *destination)
{
    destination->failed_cohorts = 0;
    if (destination->window < destination->transport->concurrency_limit)
        destination->window++;
}

static void destination_failed(struct destination *destination, const char *reason, const char *dsn)
{
    struct job *job;
    destination->failed_cohorts += 1.0 / destination->window;
    if (destination->window > 1)
        destination->window--;
    if (destination->transport->cohort_limit == 0 ||
        destination->failed_cohorts < destination->transport->cohort_limit)
        return;
    destination->dead_until = deadline_in_s(settings.minimal_backoff);
    free(destination->dead_reason);
    destination->dead_reason = mem_strdup(reason);
    snprintf(destination->dead_dsn, sizeof destination->dead_dsn, "%s", dsn[0] == '4' ? dsn : "4.4.1");
    while ((job = TAILQ_FIRST(&destination->jobs)) != NULL) {
        TAILQ_REMOVE(&destination->jobs, job, link);
        job_suspend(job);
    }
}

static void destination_revive(struct destination *destination)
{
    destination->dead_until = 0;
    destination->failed_cohorts = 0;
    destination->window = destination->transport->initial_concurrency;
}

/* --- delivering --------------------------------------------------------------------------------- */

static void destination_dispatch(struct destination *destination);

static void job_apply(struct job *job, const struct delivery_result *result)
{
    for (size_t i = 0; i < result->recipient_count; i++) {
        const struct recipient_result *one = &result->recipients[i];
        bool mine = false;
        for (size_t k = 0; k < job->count && !mine; k++)
            mine = job->indexes[k] == one->index;
        if (mine)
            settle_recipient(job->active, one->index, one);
    }
    for (size_t k = 0; k < job->count; k++)
        if (job->active->targets[job->indexes[k]].outcome == OUTCOME_NONE && !job->active->corrupt)
            settle_locally(job->active, job->indexes[k], "error", DELIVERY_DEFERRED, "4.3.0",
                           "unknown mail transport error");
}

/* The agent died: those recipients are tried again soon, but not for ever. */
static void job_lost(struct job *job)
{
    struct destination *destination = job->destination;
    if (++job->losses >= MOST_LOSSES) {
        job_decide(job, "error", DELIVERY_DEFERRED, "4.3.0", "unknown mail transport error");
        return;
    }
    TAILQ_INSERT_HEAD(&destination->jobs, job, link);
}

static void job_answered(void *context, enum ipc_status status, struct slice body)
{
    struct job *job = context;
    struct destination *destination = job->destination;
    destination->in_flight--;
    in_flight--;
    if (status != IPC_OK) {
        job_lost(job);
        destination_dispatch(destination);
        return;
    }
    struct arena *arena = arena_new();
    struct delivery_result result;
    if (!delivery_result_decode(body, arena, &result))
        log_fatal("queue->%s: malformed DELIVER answer", destination->transport->name);
    job_apply(job, &result);
    if (!result.host_unreachable)
        destination_succeeded(destination);
    else
        destination_failed(destination, result.reason, result.recipient_count > 0 ? result.recipients[0].dsn : "");
    arena_free(arena);
    job_finish(job);
    destination_dispatch(destination);
}

static void job_encode(const struct job *job, struct str *body)
{
    const struct active *active = job->active;
    struct delivery delivery = {
        .envelope = active->envelope,
        .transport = job->destination->transport->name,
        .next_hop = job->destination->next_hop,
        .active_us = active->active_us,
        .in_file = active->frame == NULL,
        .content = active->frame != NULL ? active->content : SLICE(""),
        .content_offset = active->content_offset,
        .content_size = active->content_size,
        .content_hash = active->content_hash,
        .recipient_count = job->count,
    };
    delivery.envelope.recipients = NULL;
    delivery.envelope.recipient_count = 0;
    delivery.recipients = mem_alloc_array(job->count, sizeof *delivery.recipients);
    for (size_t i = 0; i < job->count; i++) {
        delivery.recipients[i].index = job->indexes[i];
        delivery.recipients[i].to = active->envelope.recipients[job->indexes[i]];
    }
    delivery_encode(&delivery, body);
    free(delivery.recipients);
}

/* False: the channel is gone, the job stays. */
static bool job_send(struct job *job, struct ipc_channel *channel)
{
    static struct str body;
    struct active *active = job->active;
    bool in_memory = active->frame != NULL || active->message->where == PLACE_JOURNAL;
    int fd = -1;
    if (in_memory ? !active_load_content(active) : (fd = message_open_file(active->message)) < 0) {
        log_warning("%s: cannot read the message: %s", active->message->queue_id, strerror(errno));
        job->destination->in_flight--;
        job_decide(job, "error", DELIVERY_DEFERRED, "4.3.0", "queue file read error");
        return true;
    }
    str_clear(&body);
    job_encode(job, &body);
    bool sent = ipc_request(channel, fd >= 0 ? DELIVER_FD : DELIVER, str_slice(&body), fd, job_answered, job);
    if (fd >= 0)
        close(fd);
    in_flight += sent;
    return sent;
}

static void destination_dispatch(struct destination *destination)
{
    struct job *job;
    while ((job = TAILQ_FIRST(&destination->jobs)) != NULL && destination->in_flight < destination->window) {
        struct ipc_channel *channel = transport_channel(destination->transport);
        if (channel == NULL) {
            if (destination->transport->down_since == 0)
                destination->transport->down_since = clock_ms();
            return;
        }
        destination->transport->down_since = 0;
        TAILQ_REMOVE(&destination->jobs, job, link);
        destination->in_flight++;
        if (!job_send(job, channel)) {
            destination->in_flight--;
            TAILQ_INSERT_HEAD(&destination->jobs, job, link);
            return;
        }
    }
    if (destination->in_flight == 0 && TAILQ_EMPTY(&destination->jobs))
        destination->idle_since = clock_ms();
}

/* --- taking in ---------------------------------------------------------------------------------- */

/* "5.1.1 no such user": the code in front of the text of an error: next hop, if there is one. */
static const char *split_dsn(const char *text, char dsn[16])
{
    size_t len = strspn(text, "0123456789.");
    if (len >= 5 && len < 16 && strchr("245", text[0]) != NULL && text[1] == '.' && (text[len] == ' ' || text[len] == '\0')) {
        memcpy(dsn, text, len);
        dsn[len] = '\0';
        text += len;
        text += strspn(text, " \t");
    }
    return text;
}

/* The transports that need no agent. */
static bool transport_decide(struct active *active, const char *transport, const char *next_hop, uint32_t index)
{
    char dsn[16];
    const char *reason;
    if (strcmp(transport, "discard") == 0) {
        settle_locally(active, index, "discard", DELIVERY_SENT, "2.0.0", *next_hop != '\0' ? next_hop : "discard");
    } else if (strcmp(transport, "error") == 0) {
        snprintf(dsn, sizeof dsn, "5.0.0");
        reason = split_dsn(next_hop, dsn);
        settle_locally(active, index, "error", dsn[0] == '4' ? DELIVERY_DEFERRED : DELIVERY_BOUNCED, dsn, reason);
    } else if (strcmp(transport, "retry") == 0) {
        snprintf(dsn, sizeof dsn, "4.0.0");
        reason = split_dsn(next_hop, dsn);
        dsn[0] = '4';
        settle_locally(active, index, "error", DELIVERY_DEFERRED, dsn, reason);
    } else {
        return false;
    }
    return true;
}

static void transport_add_job(struct active *active, struct destination *destination, const uint32_t *indexes,
                              size_t count)
{
    struct job *job = mem_alloc(sizeof *job + count * sizeof job->indexes[0]);
    job->active = active;
    job->destination = destination;
    job->count = count;
    memcpy(job->indexes, indexes, count * sizeof job->indexes[0]);
    active->jobs++;
    if (destination->dead_until != 0)
        job_suspend(job);
    else
        TAILQ_INSERT_TAIL(&destination->jobs, job, link);
}

void transport_add(struct active *active, const char *name, const char *next_hop, const uint32_t *indexes,
                   size_t count)
{
    size_t done = 0;
    while (done < count && transport_decide(active, name, next_hop, indexes[done]))
        done++;
    if (done == count)
        return;
    struct transport *transport = transport_find(name);
    struct destination *destination = destination_find(transport, next_hop);
    if (destination->dead_until != 0 && clock_ms() >= destination->dead_until)
        destination_revive(destination);
    while (done < count) {
        size_t step = count - done < transport->recipient_limit ? count - done : transport->recipient_limit;
        transport_add_job(active, destination, indexes + done, step);
        done += step;
    }
    destination_dispatch(destination);
}

/* --- now and then --------------------------------------------------------------------------------- */

void transport_peer_opened(void)
{
    struct transport *transport, *next;
    struct destination *destination, *after;
    HASH_ITER (hh, transports, transport, next) {
        if (transport_channel(transport) == NULL)
            continue;
        transport->down_since = 0;
        HASH_ITER (hh, transport->destinations, destination, after)
            destination_dispatch(destination);
    }
}

static void destination_fail_jobs(struct destination *destination)
{
    struct job_list jobs = TAILQ_HEAD_INITIALIZER(jobs);
    struct job *job;
    TAILQ_CONCAT(&jobs, &destination->jobs, link);
    while ((job = TAILQ_FIRST(&jobs)) != NULL) {
        TAILQ_REMOVE(&jobs, job, link);
        job_decide(job, "error", DELIVERY_DEFERRED, "4.3.0", "mail transport unavailable");
    }
}

void transport_tick(void)
{
    static int64_t next_at;
    struct transport *transport, *next;
    struct destination *destination, *after;
    int64_t now = clock_ms();
    if (now < next_at)
        return;
    next_at = now + 1000;
    HASH_ITER (hh, transports, transport, next) {
        bool down = transport->down_since != 0 && now - transport->down_since >= UNAVAILABLE_AFTER_MS;
        if (down) {
            log_warning_as("qmgr", "connect to transport private/%s: Connection refused", transport->name);
            transport->down_since = 0;
        }
        HASH_ITER (hh, transport->destinations, destination, after) {
            if (down)
                destination_fail_jobs(destination);
            bool idle = destination->in_flight == 0 && TAILQ_EMPTY(&destination->jobs) &&
                        now >= destination->dead_until && now - destination->idle_since > IDLE_DESTINATION_MS;
            if (!idle)
                continue;
            HASH_DEL(transport->destinations, destination);
            free(destination->dead_reason);
            free(destination);
        }
    }
}

void transport_flush(void)
{
    struct transport *transport, *next;
    struct destination *destination, *after;
    HASH_ITER (hh, transports, transport, next)
        HASH_ITER (hh, transport->destinations, destination, after)
            if (destination->dead_until != 0)
                destination_revive(destination);
}

void transport_reload(void)
{
    struct transport *transport, *next;
    HASH_ITER (hh, transports, transport, next)
        transport_configure(transport);
}
