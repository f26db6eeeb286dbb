/* SPDX-License-Identifier: ISC */
/*
 * lmtp deliver: one delivery, over a kept connection or a new one. Runs on the job's fiber. Whatever goes
 * wrong with the server becomes a result; a server that cannot be talked to is reported as unreachable.
 */
#include "common/base/log.h"
#include "common/smtp/client/transaction.h"
#include "lmtp/lmtp.h"

/* The next hop, or the recipient's domain when the queue names none. */
static bool deliver_find_next_hop(struct delivery_job *job, struct smtp_next_hop *hop)
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

static struct lmtp_connection *deliver_open(struct delivery_job *job, const struct smtp_next_hop *hop)
{
    struct smtp_failure failure;
    struct lmtp_connection *connection = lmtp_connection_open(hop, job->arena, &failure);
    if (connection != NULL)
        return connection;
    job->report.times.setup = wall_us();
    if (failure.relay != NULL)
        job->report.relay = failure.relay;
    delivery_report_rest(&job->report, failure.dsn, failure.reason, failure.remote_host, failure.diagnostic);
    job->unreachable = failure.reason;
    return NULL;
}

void lmtp_deliver(struct delivery_job *job)
{
    struct smtp_next_hop hop;
    if (!deliver_find_next_hop(job, &hop)) {
        delivery_report_rest(&job->report, "4.3.5", "mail system configuration error", NULL, NULL);
        return;
    }
    struct lmtp_connection *connection = lmtp_connection_take(hop.endpoint);
    enum smtp_transaction_end end = SMTP_TRANSACTION_STALE;
    while (end == SMTP_TRANSACTION_STALE) { /* a kept connection that turns out dead; a new one never is */
        if (connection == NULL)
            connection = deliver_open(job, &hop);
        if (connection == NULL)
            return;
        end = smtp_transaction_run(connection->session, &job->content, &job->report, &job->unreachable);
        lmtp_connection_put(connection);
        connection = NULL;
    }
    if (end == SMTP_TRANSACTION_CORRUPT)
        delivery_report_corrupt(&job->report);
}
