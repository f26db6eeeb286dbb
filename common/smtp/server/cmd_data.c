/* SPDX-License-Identifier: ISC */
/* DATA (RFC 5321 4.1.1.4): takes the message up to CRLF . CRLF, has it made durable, and answers. */
#include "common/base/log.h"
#include "common/smtp/server/content.h"
#include "common/smtp/server/transcript.h"

/* No valid recipient: each of them was refused for a reason that counted, or there was none. */
const char *smtp_content_unwanted(struct smtp_session *session)
{
    if ((session->flags & SESSION_IN_TRANSACTION) == 0)
        return "503 5.5.1 Error: need RCPT command";
    smtp_session_blame(session, FAULT_NONE);
    return "554 5.5.1 Error: no valid recipients";
}

static const char *check_order(struct smtp_session *session, const struct smtp_command *command)
{
    if (session->bdat != BDAT_NONE)
        return "503 5.5.1 Error: DATA after BDAT";
    if (session->accepted_count == 0)
        return smtp_content_unwanted(session);
    return command->count != 1 ? "501 5.5.4 Syntax: DATA" : NULL;
}

/* False: the connection is gone. */
static bool receive(struct smtp_session *session)
{
    size_t taken;
    for (;;) {
        struct slice window = stream_buffered(&session->stream);
        bool ended = window.len > 0 && content_feed(session, window, &taken);
        if (window.len > 0)
            stream_consume(&session->stream, taken);
        if (ended)
            return true;
        if (!smtp_session_fill(session, session->content->reader.wire_bytes))
            return false;
    }
}

const char *smtp_content_refusal(enum content_status status)
{
    switch (status) {
    case CONTENT_OK:
        return NULL;
    case CONTENT_TOO_LARGE:
        return "552 5.3.4 Error: message file too big";
    case CONTENT_TOO_MANY_HOPS:
        return "554 5.4.0 Error: too many hops";
    case CONTENT_NO_SPACE:
        return "452 4.3.1 Insufficient system storage";
    case CONTENT_ERROR:
    case CONTENT_REFUSED:  /* these have replies of their own */
    case CONTENT_FILTERED:
        break;
    }
    return "451 4.3.0 Error: queue file write error";
}

static bool has_refused_lf(const struct smtp_session *session)
{
    return session->content->reader.saw_bare_lf && smtp_session_refuses_bare_lf(session);
}

bool smtp_content_has_failed(const struct smtp_session *session)
{
    return session->content->status != CONTENT_OK || has_refused_lf(session);
}

const char *smtp_content_finish(struct smtp_session *session)
{
    const struct smtp_server *server = session->server;
    if (session->content->reader.saw_bare_lf)
        smtp_session_note_bare_lf(session);
    if (has_refused_lf(session)) {
        log_info("%s: reject: %s from %s: bare <LF> received;%s", smtp_session_id(session), session->where,
                 session->client, smtp_session_log_tail(session, session->sender, smtp_session_first_recipient(session)));
        if (session->filter != NULL)
            content_log_filter(session, false);
        return arena_printf(session->scratch, "%lld 5.5.2 %s Error: bare <LF> received",
                            (long long)server->bare_newline_reject_code, server->my_hostname);
    }
    if (session->content->status == CONTENT_OK) {
        content_show_headers(session);
        const char *refusal = server->policy->on_end_of_data(session);
        if (refusal != NULL)
            return refusal;
    }
    if (session->filter != NULL) {
        const char *refusal = content_finish_filtered(session);
        if (refusal != NULL)
            smtp_session_blame(session, FAULT_POLICY);
        return refusal;
    }
    if ((session->flags & SESSION_DISCARD) != 0 && session->content->status == CONTENT_OK)
        return NULL;
    static const enum smtp_fault faults[] = {
        [CONTENT_OK] = FAULT_NONE, [CONTENT_TOO_LARGE] = FAULT_BOUNCE, [CONTENT_TOO_MANY_HOPS] = FAULT_BOUNCE,
        [CONTENT_NO_SPACE] = FAULT_RESOURCE, [CONTENT_ERROR] = FAULT_RESOURCE, [CONTENT_REFUSED] = FAULT_POLICY, [CONTENT_FILTERED] = FAULT_POLICY};
    enum content_status status = content_submit(session);
    if (status != CONTENT_OK)
        smtp_session_blame(session, faults[status]);
    return status == CONTENT_REFUSED ? session->content->refusal : smtp_content_refusal(status);
}

void smtp_content_accepted(struct smtp_session *session, const char *how)
{
    session->error_count = session->junk_count = 0; /* who sends mail may make mistakes again */
    smtp_transcript_forgive(session);
    if (session->filter != NULL)
        smtp_reply_text(session, session->server->policy->filter_reply(session));
    else
        smtp_reply(session, "250 2.0.0 Ok: %s", how);
}

bool smtp_cmd_data(struct smtp_session *session, const struct smtp_command *command)
{
    const char *refusal = check_order(session, command);
    if (refusal == NULL)
        refusal = session->server->policy->on_data(session);
    if (refusal == NULL && session->filter != NULL)
        refusal = session->server->policy->filter_command(session, command->line, '3');
    if (refusal != NULL) {
        smtp_reply_text(session, refusal);
        return false;
    }
    smtp_reply(session, "354 End data with <CR><LF>.<CR><LF>");
    content_begin(session, false);
    if (!receive(session))
        return false;
    session->where = "END-OF-MESSAGE";
    refusal = smtp_content_finish(session);
    if (refusal == NULL)
        smtp_content_accepted(session, arena_printf(session->scratch, "queued as %s", session->queue_id));
    else
        smtp_reply_text(session, refusal);
    smtp_session_reset(session);
    return refusal == NULL;
}
