/* SPDX-License-Identifier: ISC */
/*
 * lmtp deliver: takes DELIVER and DELIVER_FD from the queue, one fiber each, and answers with one result per
 * recipient. Whatever goes wrong with the server becomes a result; only a malformed record from the queue
 * ends the process.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/smtp/client/transaction.h"
#include "lmtp/lmtp.h"

#define SPARE_JOBS 64 /* kept with their memory for the next delivery */

struct job {
    struct ipc_channel *channel; /* NULL: the queue that asked is gone */
    uint32_t id;
    int fd;              /* the content, or -1 */
    struct str body;     /* the record: inline content lives here */
    struct arena *arena; /* everything else */
    struct delivery delivery;
    LIST_ENTRY(job) link;
};

static LIST_HEAD(, job) active = LIST_HEAD_INITIALIZER(active);
static LIST_HEAD(, job) spare = LIST_HEAD_INITIALIZER(spare);
static size_t spare_count;
static bool draining;

/* --- a job's life ---------------------------------------------------------------------- */

static struct job *job_new(void)
{
    struct job *job = LIST_FIRST(&spare);
    if (job != NULL) {
        LIST_REMOVE(job, link);
        spare_count--;
    } else {
        job = mem_alloc(sizeof *job);
        job->arena = arena_new();
    }
    job->fd = -1;
    LIST_INSERT_HEAD(&active, job, link);
    return job;
}

static void job_free(struct job *job)
{
    LIST_REMOVE(job, link);
    if (job->fd >= 0)
        close(job->fd);
    if (spare_count < SPARE_JOBS && job->body.cap <= 2 * INLINE_CONTENT_LIMIT) {
        str_clear(&job->body);
        arena_reset(job->arena);
        LIST_INSERT_HEAD(&spare, job, link);
        spare_count++;
    } else {
        str_free(&job->body);
        arena_free(job->arena);
        free(job);
    }
    if (draining && LIST_EMPTY(&active))
        role_finished();
}

void lmtp_deliver_forget(struct ipc_channel *channel)
{
    struct job *job;
    LIST_FOREACH(job, &active, link) {
        if (job->channel == channel)
            job->channel = NULL;
    }
}

void lmtp_deliver_drain(void)
{
    draining = true;
    lmtp_connections_close();
    if (LIST_EMPTY(&active))
        role_finished();
}

/* --- one delivery --------------------------------------------------------------------------- */

/* The next hop, or the recipient's domain when the queue names none. */
static bool job_find_next_hop(struct job *job, struct smtp_next_hop *hop)
{
    const char *text = job->delivery.next_hop, *error;
    if (text[0] == '\0') {
        const char *at = strrchr(job->delivery.recipients[0].to.address, '@');
        text = at != NULL ? at + 1 : "";
    }
    if (smtp_next_hop_parse(text, lmtp_settings.default_port, job->arena, hop, &error))
        return true;
    log_warning("%s: bad next hop \"%s\" for transport %s: %s", job->delivery.envelope.queue_id, text,
                job->delivery.transport, error);
    return false;
}

static struct lmtp_connection *job_open(struct job *job, const struct smtp_next_hop *hop,
                                        struct delivery_report *report, const char **unreachable)
{
    struct smtp_failure failure;
    struct lmtp_connection *connection = lmtp_connection_open(hop, job->arena, &failure);
    if (connection != NULL)
        return connection;
    report->times.setup = wall_us();
    delivery_report_rest(report, failure.dsn, failure.reason, failure.remote_host, failure.diagnostic);
    *unreachable = failure.reason;
    return NULL;
}

/* Over a kept connection if there is one; when that turns out dead, over a new one. */
static void job_send(struct job *job, struct delivery_report *report, struct delivery_content *content,
                     const char **unreachable)
{
    struct smtp_next_hop hop;
    if (!job_find_next_hop(job, &hop)) {
        delivery_report_rest(report, "4.3.5", "mail system configuration error", NULL, NULL);
        return;
    }
    struct lmtp_connection *connection = lmtp_connection_take(hop.endpoint);
    enum smtp_transaction_end end = SMTP_TRANSACTION_STALE;
    while (end == SMTP_TRANSACTION_STALE) {
        if (connection == NULL)
            connection = job_open(job, &hop, report, unreachable);
        if (connection == NULL)
            return;
        end = smtp_transaction_run(connection->session, content, report, unreachable);
        lmtp_connection_put(connection);
        connection = NULL;
    }
    if (end == SMTP_TRANSACTION_CORRUPT)
        delivery_report_corrupt(report);
}

static void job_answer(struct job *job, const struct delivery_report *report, const char *unreachable)
{
    static struct str answer;
    if (job->channel == NULL)
        return;
    str_clear(&answer);
    delivery_report_encode(report, unreachable, &answer);
    ipc_reply(job->channel, job->id, str_slice(&answer), -1);
}

static void job_run(void *arg)
{
    struct job *job = arg;
    struct delivery_report report;
    struct delivery_content content;
    const char *unreachable = NULL;
    delivery_report_start(&report, &job->delivery, job->arena);
    report.resolution = lmtp_settings.delay_resolution;
    report.soft_bounce = lmtp_settings.soft_bounce;
    delivery_content_start(&content, &job->delivery, job->fd);
    job_send(job, &report, &content, &unreachable);
    delivery_content_stop(&content);
    job_answer(job, &report, unreachable);
    job_free(job);
}

void lmtp_deliver(struct ipc_channel *channel, struct ipc_message *message)
{
    struct job *job = job_new();
    job->channel = channel;
    job->id = message->id;
    str_append_slice(&job->body, message->body);
    if (!delivery_decode(str_slice(&job->body), job->arena, &job->delivery) ||
        job->delivery.recipient_count == 0 || job->delivery.in_file != (message->fd >= 0)) {
        job_free(job);
        ipc_violation(channel, "malformed delivery");
        return;
    }
    job->fd = message->fd;
    message->fd = -1;
    fiber_spawn(job->delivery.envelope.queue_id, job_run, job);
}
