/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS (RFC 3207), and connections that are encrypted from the first byte. Nothing that was said in the clear survives
 * the handshake: not the greeting's name, not a transaction, not a login, not a byte that was sent ahead. A handshake
 * that fails ends the session.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/smtp/server/session.h"
#include "common/smtp/server/transcript.h"

static void forget_everything(struct smtp_session *session)
{
    smtp_session_reset(session);
    session->bdat = BDAT_NONE;
    free(session->helo_name);
    free(session->sasl_method);
    free(session->sasl_username);
    free(session->sasl_sender);
    session->helo_name = session->sasl_method = session->sasl_username = session->sasl_sender = NULL;
}

/* Handshakes are counted (smtpd_client_new_tls_session_rate_limit), whether they succeed or not, unless they were cheap. */
static bool count_handshake(struct smtp_session *session)
{
    const char *too_often = session->tls != NULL && session->tls->is_resumed ? NULL : smtp_session_count(session, SMTP_EVENT_TLS);
    if (too_often == NULL)
        return true;
    if (session->tls != NULL)
        smtp_reply(session, "%s", too_often);
    session->flags |= SESSION_HANGUP;
    return false;
}

bool smtp_session_start_tls(struct smtp_session *session)
{
    bool at_once = true, started = session->server->policy->start_tls(session);
    if (!count_handshake(session))
        return false;
    if (!started) {
        smtp_session_lost(session, IO_EOF, false, 0);
        return false;
    }
    const char *refusal = session->server->policy->after_tls(session, &at_once);
    if (refusal == NULL)
        return true;
    /* The client expects an answer to its next command, not one to STARTTLS: that had its own. */
    smtp_session_blame(session, FAULT_POLICY);
    if (at_once || smtp_session_skip_line(session))
        smtp_reply(session, "%s", refusal);
    session->flags |= SESSION_HANGUP;
    return !at_once; /* STARTTLS itself succeeded */
}

bool smtp_session_begin_wrapped(struct smtp_session *session)
{
    if (session->server->policy->before_tls(session) == NULL &&
        smtp_session_count(session, SMTP_EVENT_TLS_WRAPPER) == NULL)
        return smtp_session_start_tls(session);
    session->flags |= SESSION_HANGUP;
    return false;
}

static const char *check_order(struct smtp_session *session, const struct smtp_command *command)
{
    if (command->count != 1)
        return "501 5.5.4 Syntax: STARTTLS";
    if (session->tls != NULL)
        return "554 5.5.1 Error: TLS already active";
    if (!session->server->tls_offered || (session->ehlo_mask & EHLO_STARTTLS) != 0)
        return "502 5.5.1 Error: command not implemented";
    const char *refusal = session->server->policy->before_tls(session);
    if (refusal != NULL)
        smtp_session_blame(session, FAULT_SOFTWARE);
    return refusal != NULL ? refusal : smtp_session_count(session, SMTP_EVENT_TLS_REQUEST);
}

bool smtp_cmd_starttls(struct smtp_session *session, const struct smtp_command *command)
{
    const char *refusal = check_order(session, command);
    if (refusal != NULL)
        return smtp_refuse(session, "%s", refusal);
    smtp_reply(session, "220 2.0.0 Ready to start TLS");
    enum io_status status = stream_flush(&session->stream, smtp_session_deadline(session));
    if (status != IO_OK) {
        smtp_session_lost(session, status, false, 0);
        return false;
    }
    stream_discard_input(&session->stream); /* sent ahead in the clear, perhaps by somebody in between */
    forget_everything(session);
    return smtp_session_start_tls(session);
}
