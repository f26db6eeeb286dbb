/* SPDX-License-Identifier: ISC */
/*
 * virtual deliver: one delivery, recipient by recipient. Runs on the job's fiber. Mail bounces when the
 * recipient has no mailbox or is over quota; anything else defers it.
 */
#include "common/base/log.h"
#include "common/mail/quote.h"
#include "virtual/virtual.h"

static struct mailbox_result deliver_into(const struct mailbox *mailbox, struct delivery_job *job,
                                           const struct recipient *to)
{
    struct str header = STR_EMPTY;
    struct mailbox_result result;
    message_put_header(&job->delivery, to, &header);
    if (mailbox->path[strlen(mailbox->path) - 1] == '/')
        result = maildir_deliver(mailbox, str_slice(&header), job);
    else
        result = mbox_deliver(mailbox, str_slice(&header), job, to);
    str_free(&header);
    return result;
}

/* dsn NULL in the result: the content is corrupt. */
static struct mailbox_result deliver_one(struct delivery_job *job, const struct recipient *to)
{
    struct mailbox mailbox;
    struct mailbox_result result;
    if (!quote_is_safe(to->address) || !quote_is_safe(to->original) || !quote_is_safe(job->delivery.envelope.sender))
        return (struct mailbox_result){"5.1.3", "bad address syntax"};
    if (!mailbox_find(to->address, job->arena, &mailbox, &result))
        return result;
    if ((job->delivery.envelope.flags & ENVELOPE_PROBE) != 0)
        return (struct mailbox_result){"2.0.0", mailbox.path[strlen(mailbox.path) - 1] == '/' ? "delivers to maildir" : "delivers to mailbox"};
    return deliver_into(&mailbox, job, to);
}

void virtual_deliver(struct delivery_job *job)
{
    size_t count = job->delivery.recipient_count;
    job->report.relay = role_service();
    if (virtual_settings.problem != NULL) {
        log_error("main.cf configuration error: %s", virtual_settings.problem);
        delivery_report_rest(&job->report, "4.3.5", "mail system configuration error", NULL, NULL);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct mailbox_result result = deliver_one(job, &job->delivery.recipients[i].to);
        if (result.dsn == NULL) {
            delivery_report_corrupt(&job->report);
            return;
        }
        delivery_report_one(&job->report, i, result.dsn, result.reason, NULL,
                            result.dsn[0] == '2' ? NULL : arena_printf(job->arena, "x-unix; %s", result.reason));
    }
}
