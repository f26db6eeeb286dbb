/* SPDX-License-Identifier: ISC */
/*
 * reply: what the client and the log are told. Replies gather in the stream's buffer and leave before the
 * session next waits for input. Called by all verbs.
 */
#include <stdarg.h>
#include <string.h>

#include "common/base/log.h"
#include "common/mail/quote.h"
#include "common/smtp/server/reply_filter.h"
#include "common/smtp/server/session.h"
#include "common/smtp/server/transcript.h"

int64_t smtp_session_deadline(const struct smtp_session *session)
{
    if (session->server->per_request_deadline)
        return deadline_in_ms(session->budget_ms);
    return deadline_in_s(session->server->timeout);
}

/* A client that made many mistakes waits before each reply. */
static void reply_slow_down(struct smtp_session *session)
{
    if (session->error_count < session->server->soft_error_limit || session->server->error_sleep <= 0)
        return;
    if (stream_flush(&session->stream, smtp_session_deadline(session)) != IO_OK ||
        fiber_sleep_until(deadline_in_s(session->server->error_sleep)) != WAIT_OK)
        session->flags |= SESSION_HANGUP;
}

static void reply_put(struct smtp_session *session, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void reply_put(struct smtp_session *session, const char *fmt, va_list args)
{
    reply_slow_down(session);
    struct str *out = &session->stream.out;
    size_t start = out->len;
    str_vprintf(out, fmt, args);
    char *text = out->data + start;
    size_t len = out->len - start;
    for (size_t i = 0; i < len; i++) /* an address echoed back shall not end the line */
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            text[i] = '?';
    if (session->server->filters_replies && (text[0] == '4' || text[0] == '5')) {
        struct str reply = STR_EMPTY;
        str_append(&reply, text);
        str_truncate(out, start); /* a table may be asked: nothing half-written is left in the buffer meanwhile */
        reply_filter(session, &reply);
        str_append_slice(out, str_slice(&reply));
        str_free(&reply);
        text = out->data + start;
        len = out->len - start;
    }
    if (len >= 3 && (memcmp(text, "421", 3) == 0 || memcmp(text, "521", 3) == 0))
        session->flags |= SESSION_HANGUP;
    if (session->server->notify_mask != 0)
        smtp_transcript_reply(session, slice_range(text, len));
    stream_put(&session->stream, SLICE("\r\n"));
}

void smtp_reply_lines(struct smtp_session *session, struct slice lines)
{
    reply_slow_down(session);
    if (session->server->notify_mask != 0)
        smtp_transcript_reply(session, lines);
    stream_put(&session->stream, lines);
}

void smtp_session_note_bare_lf(struct smtp_session *session)
{
    if (session->server->note_bare_newline && (session->flags & SESSION_BARE_NEWLINE_OK) == 0)
        session->flags |= SESSION_SENT_BARE_LF;
}

bool smtp_session_refuses_bare_lf(const struct smtp_session *session)
{
    return session->server->reject_bare_newline && (session->flags & SESSION_BARE_NEWLINE_OK) == 0;
}

void smtp_reply(struct smtp_session *session, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    reply_put(session, fmt, args);
    va_end(args);
}

bool smtp_refuse(struct smtp_session *session, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    reply_put(session, fmt, args);
    va_end(args);
    return false;
}

void smtp_reply_text(struct smtp_session *session, const char *text)
{
    struct slice rest = slice_of(text), line;
    if (strchr(text, '\n') == NULL) {
        smtp_reply(session, "%s", text);
        return;
    }
    struct str lines = STR_EMPTY;
    while (slice_next_token(&rest, "\n", &line))
        str_printf(&lines, "%.*s\r\n", SLICE_ARGS(line));
    if (strncmp(text, "421", 3) == 0 || strncmp(text, "521", 3) == 0)
        session->flags |= SESSION_HANGUP;
    smtp_reply_lines(session, str_slice(&lines));
    str_free(&lines);
}

const char *smtp_session_external(struct smtp_session *session, const char *address)
{
    struct str text = STR_EMPTY;
    quote_append_address(&text, address);
    const char *copy = arena_slice(session->scratch, str_slice(&text));
    str_free(&text);
    return copy;
}

const char *smtp_session_log_tail(struct smtp_session *session, const char *sender, const char *recipient)
{
    struct str tail = STR_EMPTY;
    if (sender != NULL)
        str_printf(&tail, " from=<%s>", smtp_session_external(session, sender));
    if (recipient != NULL)
        str_printf(&tail, " to=<%s>", smtp_session_external(session, recipient));
    str_printf(&tail, " proto=%s", smtp_session_protocol(session));
    if (session->helo_name != NULL)
        str_printf(&tail, " helo=<%s>", session->helo_name);
    const char *copy = arena_slice(session->scratch, str_slice(&tail));
    str_free(&tail);
    return copy;
}

const char *smtp_session_find(struct smtp_session *session, const char *maps, const char *parameter, const char *key)
{
    const struct smtp_server_policy *policy = session->server->policy;
    const char *value = NULL;
    bool failed = false;
    return policy->find != NULL && policy->find(session, maps, parameter, key, &value, &failed) ? value : NULL;
}

const char *smtp_session_count(struct smtp_session *session, enum smtp_event event)
{
    const struct smtp_server_policy *policy = session->server->policy;
    const char *refusal = policy->on_event != NULL ? policy->on_event(session, event) : NULL;
    if (refusal != NULL)
        smtp_session_blame(session, FAULT_POLICY);
    return refusal;
}

const char *smtp_session_protocol(const struct smtp_session *session)
{
    return (session->flags & SESSION_ESMTP) != 0 ? "ESMTP" : "SMTP";
}

const char *smtp_session_first_recipient(const struct smtp_session *session)
{
    return session->recipient_count > 0 ? session->recipients[0].original : NULL;
}

char *smtp_session_sender(const struct smtp_session *session)
{
    return session->final_sender != NULL ? session->final_sender : session->sender;
}

const char *smtp_session_id(const struct smtp_session *session)
{
    return session->queue_id[0] != '\0' ? session->queue_id : "NOQUEUE";
}

void smtp_session_lost(struct smtp_session *session, enum io_status status, bool with_bytes, uint64_t bytes)
{
    const char *reason = status == IO_TIMEOUT ? "timeout" : "lost connection";
    session->flags |= SESSION_HANGUP;
    session->end_reason = reason;
    smtp_session_blame(session, FAULT_NONE);
    /* A client that hangs up after its message without QUIT is no news. */
    bool is_news = status != IO_EOF || strcmp(session->where, "END-OF-MESSAGE") != 0;
    if (with_bytes)
        log_info("%s after %s (%llu bytes) from %s", reason, session->where, (unsigned long long)bytes, session->client);
    else if (is_news)
        log_info("%s after %s from %s", reason, session->where, session->client);
    if (status == IO_TIMEOUT)
        smtp_reply(session, "421 4.4.2 %s Error: timeout exceeded", session->server->my_hostname);
    else if (status == IO_CANCELLED)
        smtp_reply(session, "421 4.3.2 %s Service shutting down", session->server->my_hostname);
}
