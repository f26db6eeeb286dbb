/* SPDX-License-Identifier: ISC */
/*
 * smtp session: opening, reading, closing. Used by the lmtp role (and smtp, when it comes). Holds one
 * descriptor; cannot connect. Failures are words for the log and the bounce, Postfix's own.
 */
#include "common/smtp/client/session.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"

struct smtp_client_session *smtp_client_session_new(const struct smtp_client_settings *settings, int fd, const char *host,
                                                    const char *address, unsigned port)
{
    struct smtp_client_session *session = mem_alloc(sizeof *session);
    stream_init(&session->stream, fd);
    session->settings = settings;
    session->host = mem_strdup(host);
    session->name_address = mem_printf("%s[%s]", host, address);
    session->relay = port != 0 ? mem_printf("%s:%u", session->name_address, port) :
                                 mem_strdup(session->name_address);
    return session;
}

void smtp_client_session_free(struct smtp_client_session *session)
{
    if (session == NULL)
        return;
    stream_close(&session->stream);
    smtp_reply_free(&session->reply);
    free(session->host);
    free(session->name_address);
    free(session->relay);
    free(session);
}

/* --- replies ---------------------------------------------------------------------- */

enum smtp_read_status smtp_read_status_of_io(enum io_status status)
{
    switch (status) {
    case IO_OK:
        return SMTP_READ_OK;
    case IO_TIMEOUT:
        return SMTP_READ_TIMEOUT;
    case IO_CANCELLED:
        return SMTP_READ_CANCELLED;
    case IO_TOO_LONG:
        return SMTP_READ_GARBLED;
    default:
        return SMTP_READ_LOST;
    }
}

enum smtp_read_status smtp_client_session_read_reply(struct smtp_client_session *session, int64_t deadline)
{
    struct slice line;
    enum smtp_reply_status status;
    smtp_reply_reset(&session->reply);
    do {
        enum io_status io = stream_read_line(&session->stream, SMTP_REPLY_LINE_MAX, &line, NULL, deadline);
        if (io != IO_OK) {
            session->broken = true;
            return smtp_read_status_of_io(io);
        }
        log_debug("< %s: %.*s", session->relay, SLICE_ARGS(line));
        status = smtp_reply_add_line(&session->reply, line);
    } while (status == SMTP_REPLY_MORE);
    if (status != SMTP_REPLY_DONE) {
        session->broken = true;
        log_warning("%s: malformed reply: %.100s", session->relay, str_text(&session->reply.text));
        return SMTP_READ_GARBLED;
    }
    if (session->reply.code == 421) /* RFC 5321 section 3.8: it is about to hang up */
        session->broken = true;
    return SMTP_READ_OK;
}

bool smtp_client_session_has_stray_input(struct smtp_client_session *session, bool thorough)
{
    return thorough ? stream_has_input(&session->stream) : stream_buffered(&session->stream).len > 0;
}

/* --- words -------------------------------------------------------------------------- */

void smtp_failure_of_read(const struct smtp_client_session *session, enum smtp_read_status status, const char *activity,
                          struct arena *arena, struct smtp_failure *failure)
{
    *failure = (struct smtp_failure){.dsn = "4.4.2"};
    switch (status) {
    case SMTP_READ_TIMEOUT:
        failure->reason =
            arena_printf(arena, "conversation with %s timed out while %s", session->name_address, activity);
        break;
    case SMTP_READ_GARBLED:
        failure->dsn = "4.5.0";
        failure->reason = arena_printf(arena, "Protocol error: host %s sent a malformed reply while %s",
                                       session->name_address, activity);
        break;
    case SMTP_READ_CANCELLED:
        failure->dsn = "4.3.0";
        failure->reason = "delivery was interrupted";
        break;
    default:
        failure->reason =
            arena_printf(arena, "lost connection with %s while %s", session->name_address, activity);
    }
}

void smtp_failure_of_reply(const struct smtp_client_session *session, const char *command, struct arena *arena,
                           struct smtp_failure *failure)
{
    const struct smtp_reply *reply = &session->reply;
    const char *text = smtp_reply_one_line(reply, arena);
    bool makes_sense = smtp_reply_class(reply) >= 4;
    *failure = (struct smtp_failure){
        .dsn = makes_sense ? arena_strdup(arena, reply->dsn) : "4.5.0",
        .reason = arena_printf(arena, "%shost %s said: %s (in reply to %s)",
                               makes_sense ? "" : "Protocol error: ", session->name_address, text, command),
        .remote_host = arena_strdup(arena, session->host),
        .diagnostic = arena_printf(arena, "smtp; %s", text),
    };
}

/* --- opening and closing ---------------------------------------------------------------- */

static bool session_refused(const struct smtp_client_session *session, struct arena *arena, struct smtp_failure *failure)
{
    const struct smtp_reply *reply = &session->reply;
    smtp_failure_of_reply(session, "", arena, failure);
    failure->reason = arena_printf(arena, "host %s refused to talk to me: %s", session->name_address,
                                   smtp_reply_one_line(reply, arena));
    return false;
}

static bool session_lost(const struct smtp_client_session *session, enum smtp_read_status status, const char *activity,
                         struct arena *arena, struct smtp_failure *failure)
{
    smtp_failure_of_read(session, status, activity, arena, failure);
    return false;
}

static bool session_read_greeting(struct smtp_client_session *session, struct arena *arena,
                                  struct smtp_failure *failure)
{
    static const char activity[] = "receiving the initial server greeting";
    enum smtp_read_status status =
        smtp_client_session_read_reply(session, deadline_in_s(session->settings->hello_timeout));
    if (status != SMTP_READ_OK)
        return session_lost(session, status, activity, arena, failure);
    if (smtp_reply_class(&session->reply) != 2) {
        if (session->settings->skip_5xx_greeting)
            session->reply.dsn[0] = '4';
        return session_refused(session, arena, failure);
    }
    if (smtp_client_session_has_stray_input(session, false)) /* it speaks out of turn: answers would be mixed up */
        return session_lost(session, SMTP_READ_GARBLED, activity, arena, failure);
    return true;
}

bool smtp_client_session_greet(struct smtp_client_session *session, struct arena *arena, struct smtp_failure *failure)
{
    const struct smtp_client_settings *settings = session->settings;
    const char *activity = settings->lmtp ? "performing the LHLO handshake" : "performing the EHLO handshake";
    if (!session_read_greeting(session, arena, failure)) {
        session->broken = true;
        return false;
    }
    int64_t deadline = deadline_in_s(settings->hello_timeout);
    stream_printf(&session->stream, "%s %s\r\n", settings->lmtp ? "LHLO" : "EHLO", settings->hello_name);
    enum smtp_read_status status = smtp_read_status_of_io(stream_flush(&session->stream, deadline));
    if (status == SMTP_READ_OK)
        status = smtp_client_session_read_reply(session, deadline);
    if (status == SMTP_READ_OK && smtp_client_session_has_stray_input(session, false))
        status = SMTP_READ_GARBLED;
    if (status != SMTP_READ_OK) {
        session->broken = true;
        return session_lost(session, status, activity, arena, failure);
    }
    if (smtp_reply_class(&session->reply) != 2) {
        session->broken = true;
        return session_refused(session, arena, failure);
    }
    smtp_capabilities_parse(str_slice(&session->reply.text), settings->ignored, &session->can);
    return true;
}

void smtp_client_session_quit(struct smtp_client_session *session)
{
    int64_t deadline = deadline_in_s(session->settings->quit_timeout);
    if (!session->broken) {
        stream_put(&session->stream, SLICE("QUIT\r\n"));
        enum io_status status = stream_flush(&session->stream, deadline);
        /* Whatever it says: the connection ends here. */
        if (status == IO_OK && !session->settings->skip_quit_response &&
            smtp_client_session_read_reply(session, deadline) != SMTP_READ_OK)
            log_debug("%s: no answer to QUIT", session->relay);
    }
    smtp_client_session_free(session);
}
