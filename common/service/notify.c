/* SPDX-License-Identifier: ISC */
/*
 * notify: mails the postmaster the transcript of a session that had faults of a class in notify_classes. Called by the SMTP
 * library at the end of such a session, and when its transcript has grown long. The notice comes from double_bounce_sender, so
 * that no bounce ever answers it; canonical and virtual alias maps see its recipient as any other. When the queue or lookup
 * cannot be had the notice is lost, with a warning.
 */
#include <xxhash.h>

#include "common/base/log.h"
#include "common/mail/received.h"
#include "common/service/service.h"
#include "common/service/transcript.h"
#include "common/smtp/server/transcript.h"

static const char *notice_message_id(const struct smtp_session *session, struct arena *arena)
{
    struct str text = STR_EMPTY;
    message_id_append(session->arrival_us / 1000000, session->queue_id, smtpd.server.my_hostname, &text);
    const char *copy = arena_slice(arena, str_slice(&text));
    str_free(&text);
    return copy;
}

static void fill_envelope(const struct smtp_session *session, const struct address_answer *to, const char *original,
                          struct arena *arena, struct envelope *envelope)
{
    char *empty = arena_strdup(arena, "");
    memcpy(envelope->queue_id, session->queue_id, sizeof envelope->queue_id);
    envelope->arrival_us = session->arrival_us;
    envelope->sender = arena_printf(arena, "%s@%s", config_string(role_config(), "double_bounce_sender"), smtpd.server.my_hostname);
    envelope->message_id = arena_strdup(arena, notice_message_id(session, arena));
    envelope->recipient_count = to->expanded_count;
    envelope->recipients = arena_alloc_array(arena, to->expanded_count + 1, sizeof *envelope->recipients);
    for (size_t i = 0; i < to->expanded_count; i++)
        envelope->recipients[i] = (struct recipient){.address = to->expanded[i], .original = arena_strdup(arena, original),
                                                     .dsn_original = empty};
}

/* The session has the notice's id meanwhile. */
static bool submit(struct smtp_session *session, const char *recipient, struct slice transcript)
{
    struct arena *arena = session->scratch;
    struct address_answer to;
    struct submission submission = {0};
    struct str text = STR_EMPTY;
    if (!lookup_address(recipient, true, arena, &to) || to.expansion_failed || to.expanded_count == 0)
        return false;
    session->arrival_us = wall_us();
    if (!queue_begin_message(session))
        return false;
    struct transcript_notice notice = {
        .queue_id = session->queue_id, .my_hostname = smtpd.server.my_hostname, .mail_name = smtpd.server.mail_name,
        .to = config_string(role_config(), "error_notice_recipient"), .client = session->client,
        .end_reason = session->end_reason, .transcript = transcript, .now_us = session->arrival_us};
    transcript_notice_format(&notice, &text);
    fill_envelope(session, &to, recipient, arena, &submission.envelope);
    submission.serial = session->serial;
    submission.content = str_slice(&text);
    submission.content_size = text.len;
    submission.content_hash = XXH3_64bits(text.data, text.len);
    log_info_as("cleanup", "%s: message-id=%s", session->queue_id, submission.envelope.message_id);
    bool stored = queue_submit(session, &submission) == SUBMIT_OK;
    str_free(&text);
    return stored;
}

void service_notify(struct smtp_session *session, struct slice transcript, unsigned faults)
{
    const struct smtpd_client *client = session->owner;
    char queue_id[QUEUE_ID_SIZE];
    uint32_t serial = session->serial;
    int64_t arrival_us = session->arrival_us;
    if (client->supposed != NULL) /* posthorn explain: nobody did anything */
        return;
    memcpy(queue_id, session->queue_id, sizeof queue_id); /* a transaction may go on */
    const char *recipient = config_string(role_config(), (faults & FAULT_BOUNCE) != 0 ? "bounce_notice_recipient" :
                                                                                        "error_notice_recipient");
    if (!submit(session, recipient, transcript))
        log_warning("postmaster notify: the notice about %s for %s is lost", session->client, recipient);
    memcpy(session->queue_id, queue_id, sizeof queue_id);
    session->serial = serial;
    session->arrival_us = arrival_us;
}
