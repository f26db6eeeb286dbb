/* SPDX-License-Identifier: ISC */
/*
 * virtual deliver: one delivery, recipient by recipient. Runs on the job's fiber. Mail bounces when the
 * recipient has no mailbox, is over quota or the message has been here before; anything else defers it.
 */
#include <errno.h>

#include "common/base/log.h"
#include "common/mail/quote.h"
#include "virtual/virtual.h"

/* The beginning of the content: enough for any sane header. */
static bool deliver_read_head(struct delivery_job *job, struct slice *head)
{
    *head = slice_range(NULL, 0);
    enum content_status status = delivery_content_next(&job->content, head);
    if (status == CONTENT_CORRUPT)
        delivery_report_corrupt(&job->report);
    else if (status == CONTENT_ERROR) {
        log_warning("%s: cannot read the message content: %s", job->delivery.envelope.queue_id, strerror(errno));
        delivery_report_rest(&job->report, "4.3.0", "error reading message", NULL, NULL);
    }
    return status == CONTENT_MORE || status == CONTENT_END;
}

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
static struct mailbox_result deliver_one(struct delivery_job *job, const struct recipient *to, bool is_looping)
{
    struct mailbox mailbox;
    struct mailbox_result result;
    if (!quote_is_safe(to->address) || !quote_is_safe(to->original) || !quote_is_safe(job->delivery.envelope.sender))
        return (struct mailbox_result){"5.1.3", "bad address syntax"};
    if (is_looping)
        return (struct mailbox_result){
            "5.4.6", arena_printf(job->arena, "mail forwarding loop for %s", to->address)};
    if (!mailbox_find(to->address, job->arena, &mailbox, &result))
        return result;
    return deliver_into(&mailbox, job, to);
}

void virtual_deliver(struct delivery_job *job)
{
    struct slice head;
    size_t count = job->delivery.recipient_count;
    job->report.relay = role_service();
    if (virtual_settings.problem != NULL) {
        log_error("main.cf configuration error: %s", virtual_settings.problem);
        delivery_report_rest(&job->report, "4.3.5", "mail system configuration error", NULL, NULL);
        return;
    }
    if (!deliver_read_head(job, &head))
        return;
    /* Before the first write: the head is gone when the content is read again. */
    bool *loops = arena_alloc_array(job->arena, count, sizeof *loops);
    for (size_t i = 0; i < count; i++)
        loops[i] = message_is_looping(head, job->delivery.recipients[i].to.address);
    for (size_t i = 0; i < count; i++) {
        struct mailbox_result result = deliver_one(job, &job->delivery.recipients[i].to, loops[i]);
        if (result.dsn == NULL) {
            delivery_report_corrupt(&job->report);
            return;
        }
        delivery_report_one(&job->report, i, result.dsn, result.reason, NULL,
                            result.dsn[0] == '2' ? NULL : arena_printf(job->arena, "x-unix; %s", result.reason));
    }
}
