/* SPDX-License-Identifier: ISC */
/*
 * session: from the greeting to "disconnect from". One fiber each, started by the program's listener; it holds the
 * connection and nothing else. Ends on QUIT, loss, timeout, too many errors or a reply that hangs up.
 */
#include "common/smtp/server/session.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/smtp/server/content.h"
#include "common/smtp/server/transcript.h"

/* A client that sends faster than we read never makes its session wait: others get their turn all the same. */
#define FILLS_IN_A_ROW 4

enum verb_flags {
    VERB_IS_JUNK = 1, /* does no work: counts toward smtpd_junk_command_limit */
    VERB_IS_LAST = 2, /* nothing may be pipelined behind it (RFC 2920 3.1) */
    VERB_IS_PLAIN = 4, /* works without TLS where TLS is demanded */
};

static const struct smtp_verb {
    const char *name;
    const char *counter; /* in "disconnect from" */
    smtp_verb_run *run;
    unsigned flags;
} verbs[VERB_COUNT] = {
    [VERB_HELO] = {"HELO", "helo", smtp_cmd_helo, VERB_IS_JUNK | VERB_IS_LAST | VERB_IS_PLAIN},
    [VERB_EHLO] = {"EHLO", "ehlo", smtp_cmd_ehlo, VERB_IS_JUNK | VERB_IS_LAST | VERB_IS_PLAIN},
    [VERB_XCLIENT] = {"XCLIENT", "xclient", smtp_cmd_xclient, VERB_IS_PLAIN},
    [VERB_XFORWARD] = {"XFORWARD", "xforward", smtp_cmd_xforward, 0},
    [VERB_STARTTLS] = {"STARTTLS", "starttls", smtp_cmd_starttls, VERB_IS_PLAIN},
    [VERB_AUTH] = {"AUTH", "auth", smtp_cmd_auth, 0},
    [VERB_MAIL] = {"MAIL", "mail", smtp_cmd_mail, 0},
    [VERB_RCPT] = {"RCPT", "rcpt", smtp_cmd_rcpt, 0},
    [VERB_DATA] = {"DATA", "data", smtp_cmd_data, VERB_IS_LAST},
    [VERB_BDAT] = {"BDAT", "bdat", smtp_cmd_bdat, 0},
    [VERB_RSET] = {"RSET", "rset", smtp_cmd_rset, VERB_IS_JUNK},
    [VERB_NOOP] = {"NOOP", "noop", smtp_cmd_noop, VERB_IS_JUNK | VERB_IS_LAST | VERB_IS_PLAIN},
    [VERB_VRFY] = {"VRFY", "vrfy", smtp_cmd_vrfy, VERB_IS_JUNK | VERB_IS_LAST},
    [VERB_ETRN] = {"ETRN", "etrn", smtp_cmd_etrn, VERB_IS_JUNK},
    [VERB_QUIT] = {"QUIT", "quit", smtp_cmd_quit, VERB_IS_PLAIN},
    [VERB_UNKNOWN] = {"UNKNOWN", "unknown", NULL, 0},
};

/* --- reading a command ----------------------------------------------------------- */

/* smtpd_per_request_deadline: waiting uses up the command's time; content that comes fast enough earns more. */
static void charge_time(struct smtp_session *session, int64_t began_ms, size_t gained)
{
    const struct smtp_server *server = session->server;
    session->budget_ms -= clock_ms() - began_ms;
    session->budget_ms += (int64_t)gained * 1000 / server->min_data_rate;
    if (session->budget_ms > server->timeout * 1000)
        session->budget_ms = server->timeout * 1000;
}

bool smtp_session_fill(struct smtp_session *session, uint64_t content_bytes)
{
    int64_t began_ms = session->server->per_request_deadline ? clock_ms() : 0;
    size_t before = stream_buffered(&session->stream).len;
    bool in_content = session->where == verbs[VERB_DATA].name || session->where == verbs[VERB_BDAT].name;
    enum io_status status = stream_flush(&session->stream, smtp_session_deadline(session));
    if (status == IO_OK)
        status = stream_fill(&session->stream, smtp_session_deadline(session));
    if (session->server->per_request_deadline)
        charge_time(session, began_ms, in_content ? stream_buffered(&session->stream).len - before : 0);
    if (status == IO_OK && ++session->fills % FILLS_IN_A_ROW == 0 && fiber_yield() != WAIT_OK)
        status = IO_CANCELLED;
    if (status == IO_OK)
        return true;
    smtp_session_lost(session, status, in_content && session->content != NULL, content_bytes);
    return false;
}

/* A line beyond the limit is cut there, as Postfix does; the rest is thrown away as it comes. */
static bool skip_rest_of_line(struct smtp_session *session)
{
    for (;;) {
        struct slice have = stream_buffered(&session->stream);
        const char *end = have.len > 0 ? memchr(have.data, '\n', have.len) : NULL;
        if (end != NULL) {
            stream_consume(&session->stream, (size_t)(end - have.data) + 1);
            return true;
        }
        stream_consume(&session->stream, have.len);
        if (!smtp_session_fill(session, 0))
            return false;
    }
}

static bool read_line(struct smtp_session *session, struct slice *line, bool *bare_lf)
{
    size_t limit = (size_t)session->server->line_length_limit;
    for (;;) {
        struct slice have = stream_buffered(&session->stream);
        const char *end = have.len > 0 ? memchr(have.data, '\n', have.len) : NULL;
        size_t len = end != NULL ? (size_t)(end - have.data) : have.len;
        if (len > limit + 1 || (end == NULL && have.len == STREAM_IN_SIZE)) {
            char *start = arena_strndup(session->scratch, have.data, limit);
            text_make_printable(start, limit); /* as in Postfix, also for what runs it */
            *line = slice_range(start, limit);
            *bare_lf = false;
            size_t shown = smtp_loggable_length(*line);
            log_warning("%s: request longer than %zu: %.*s...", session->client, limit, shown < 30 ? (int)shown : 30,
                        line->data);
            return skip_rest_of_line(session);
        }
        if (end != NULL) {
            *bare_lf = len == 0 || have.data[len - 1] != '\r';
            stream_consume(&session->stream, len + 1);
            len -= !*bare_lf; /* one CR: another counts as a blank */
            *line = slice_range(arena_strndup(session->scratch, have.data, len), len);
            return true;
        }
        if (!smtp_session_fill(session, 0))
            return false;
    }
}

bool smtp_session_skip_line(struct smtp_session *session)
{
    struct slice line;
    bool bare_lf;
    return read_line(session, &line, &bare_lf);
}

/* --- running it ---------------------------------------------------------------------- */

static enum smtp_verb_id find_verb(const struct smtp_token *token)
{
    for (unsigned i = 0; i < VERB_UNKNOWN; i++)
        if (smtp_token_is(token, verbs[i].name))
            return (enum smtp_verb_id)i;
    return VERB_UNKNOWN;
}

/* Input behind a command that must be the last of its group, or before the greeting: a spammer that does not wait for
 * answers. True when the session ends for it. */
static bool refuses_pipelining(struct smtp_session *session)
{
    if ((session->flags & SESSION_BAD_PIPELINING) != 0 || !stream_has_input(&session->stream))
        return false;
    struct slice have = stream_buffered(&session->stream);
    struct str text = STR_EMPTY;
    if (have.len == 0) /* announced by the kernel, not read yet: reading cannot block */
        if (stream_fill(&session->stream, smtp_session_deadline(session)) != IO_OK)
            return false;
    have = stream_buffered(&session->stream);
    size_t shown = smtp_loggable_length(have);
    text_escape(slice_range(have.data, shown > 100 ? 100 : shown), &text);
    log_info("improper command pipelining after %s from %s: %s", session->where, session->client, str_text(&text));
    str_free(&text);
    session->flags |= SESSION_BAD_PIPELINING;
    if (!session->server->forbid_pipelining)
        return false;
    smtp_reply(session, "554 5.5.0 Error: SMTP protocol synchronization");
    session->flags |= SESSION_HANGUP;
    return true;
}

/* A table in the list that fails is no match, as in Postfix. */
bool smtp_command_is_in(struct smtp_session *session, const struct smtp_token *token, char *const *list, size_t count,
                        const char *parameter)
{
    for (size_t i = 0; i < count; i++) {
        bool is_table = strchr(list[i], ':') != NULL;
        if (is_table ? smtp_session_find(session, list[i], parameter, token->text) != NULL : smtp_token_is(token, list[i]))
            return true;
    }
    return false;
}

/* smtpd_command_filter: what a broken client says, put right. False: the table failed, and the session ends. */
static bool filter_line(struct smtp_session *session, struct slice *line)
{
    const struct smtp_server *server = session->server;
    struct slice key = *line;
    const char *value = NULL;
    bool failed = false;
    if (*server->command_filter == '\0' || server->policy->find == NULL)
        return true;
    while (key.len > 0 && (key.data[0] == ' ' || key.data[0] == '\t'))
        key = slice_skip(key, 1);
    if (server->policy->find(session, server->command_filter, "smtpd_command_filter", arena_slice(session->scratch, key), &value, &failed)) {
        log_info("%s: replacing command \"%.100s\" with \"%.100s\"", session->client, arena_slice(session->scratch, *line), value);
        *line = slice_of(value);
    }
    if (failed) {
        log_info("%s: reject: %s from %s: 421 4.3.0 %s Server local data error", smtp_session_id(session), session->where,
                 session->client, server->my_hostname);
        smtp_session_blame(session, FAULT_DATA);
        smtp_reply(session, "421 4.3.0 %s Server local data error", server->my_hostname);
    }
    return !failed;
}

/* What a client gets that may not use this verb now; NULL: it may. */
static const char *refuse_verb(struct smtp_session *session, enum smtp_verb_id id)
{
    if (session->denied != NULL && id != VERB_QUIT)
        return arena_printf(session->scratch, "503 5.7.0 Error: access denied for %s", session->client);
    if (id == VERB_UNKNOWN)
        return "500 5.5.2 Error: command not recognized";
    if (session->server->tls_enforced && session->tls == NULL && (verbs[id].flags & VERB_IS_PLAIN) == 0)
        return "530 5.7.0 Must issue a STARTTLS command first";
    return NULL;
}

static void run_verb(struct smtp_session *session, enum smtp_verb_id id, const struct smtp_command *command)
{
    const struct smtp_verb *verb = &verbs[id];
    session->commands[id]++;
    if (id == VERB_UNKNOWN) {
        session->where = verb->name;
        if (smtp_session_ends_for_foreigner(session, command))
            return;
    }
    const char *refusal = refuse_verb(session, id);
    if (refusal != NULL) {
        if (id != VERB_UNKNOWN || session->denied != NULL)
            smtp_session_blame(session, FAULT_NONE);
        smtp_reply(session, "%s", refusal);
        session->error_count++;
        return;
    }
    session->where = verb->name;
    bool may_pipeline = (session->flags & SESSION_ESMTP) != 0 && (verb->flags & VERB_IS_LAST) == 0;
    if (!may_pipeline && refuses_pipelining(session))
        return;
    if (verb->run(session, command))
        session->succeeded[id]++;
    else if ((session->flags & SESSION_BEGINS_ANEW) == 0) /* XCLIENT is counted as neither, as Postfix does */
        session->error_count++;
    if ((verb->flags & VERB_IS_JUNK) != 0 && session->junk_count++ > session->server->junk_command_limit)
        session->error_count++;
}

static void run_line(struct smtp_session *session, struct slice line, bool bare_lf)
{
    const struct smtp_server *server = session->server;
    struct smtp_command command;
    if (bare_lf && smtp_session_refuses_bare_lf(session)) {
        log_info("%s: reject: %s from %s: bare <LF> received;%s", smtp_session_id(session), session->where,
                 session->client, smtp_session_log_tail(session, session->sender, smtp_session_first_recipient(session)));
        smtp_reply(session, "%lld 5.5.2 %s Error: bare <LF> received",
                   (long long)server->bare_newline_reject_code, server->my_hostname);
        session->flags |= SESSION_HANGUP;
        return;
    }
    if (bare_lf)
        smtp_session_note_bare_lf(session);
    if (server->use_utf8 && !text_is_utf8(line)) {
        smtp_reply(session, "500 5.5.2 Error: bad UTF-8 syntax");
        session->error_count++; /* and no command: it is in no count */
        return;
    }
    const char *nul = line.len > 0 ? memchr(line.data, '\0', line.len) : NULL;
    if (nul != NULL) /* it ends there, as in Postfix: nothing behind it reaches anybody */
        line.len = (size_t)(nul - line.data);
    if (!filter_line(session, &line))
        return;
    smtp_command_parse(line, session->scratch, &command);
    if (command.count == 0) {
        smtp_reply(session, "500 5.5.2 Error: bad syntax");
        session->error_count++;
    } else if (smtp_command_is_in(session, &command.tokens[0], server->noop_commands, server->noop_command_count,
                                  "smtpd_noop_commands")) {
        smtp_reply(session, "250 2.0.0 Ok");
        if (session->junk_count++ > server->junk_command_limit)
            session->error_count++;
    } else
        run_verb(session, find_verb(&command.tokens[0]), &command);
}

static void greet(struct smtp_session *session)
{
    session->flags &= ~(unsigned)SESSION_BEGINS_ANEW;
    if (session->denied == NULL && (session->flags & SESSION_SCREENED) == 0 && refuses_pipelining(session))
        return;
    session->ehlo_mask = session->server->discard_ehlo;
    if (session->denied != NULL) { /* before it began: a PROXY header that was none */
        smtp_session_blame(session, FAULT_NONE);
        smtp_reply(session, "%s", session->denied);
        return;
    }
    const char *refusal = session->server->policy->on_connect(session);
    if (refusal != NULL) {
        session->denied = mem_strdup(refusal);
        session->error_count++;
        smtp_session_blame(session, FAULT_POLICY);
        smtp_reply(session, "%s", refusal);
    } else
        smtp_reply(session, "220 %s", session->server->banner);
    arena_reset(session->scratch);
}

static void converse(struct smtp_session *session)
{
    struct slice line;
    bool bare_lf;
    while ((session->flags & SESSION_HANGUP) == 0) {
        session->budget_ms = session->server->timeout * 1000;
        smtp_transcript_flush(session, SIZE_MAX);
        if (session->error_count >= session->server->hard_error_limit) {
            log_info("too many errors after %s from %s", session->where, session->client);
            session->end_reason = "too many errors";
            smtp_reply(session, "421 4.7.0 %s Error: too many errors", session->server->my_hostname);
            return;
        }
        if (!read_line(session, &line, &bare_lf))
            return;
        session->blame = 0;
        smtp_transcript_command(session, line);
        run_line(session, line, bare_lf);
        session->command_line = SLICE("");
        arena_reset(session->scratch);
        session->present_recipient = NULL;
        if ((session->flags & SESSION_BEGINS_ANEW) != 0)
            greet(session);
    }
}

/* --- a session's life -------------------------------------------------------------------- */

void smtp_session_reset(struct smtp_session *session)
{
    smtp_transcript_flush(session, session->server->history_limit); /* at these moments, as Postfix 3.7 */
    content_drop(session);
    session->server->policy->on_reset(session);
    smtp_forward_end(session);
    arena_free(session->arena);
    session->arena = NULL;
    session->transaction = NULL;
    session->sender = NULL;
    session->prepended = session->content_filter = session->mail_command = NULL;
    free(session->sasl_sender);
    session->sasl_sender = NULL;
    session->dsn_envelope_id = NULL;
    session->dsn_return = DSN_RETURN_UNSET;
    session->announced_size = 0;
    session->recipients = NULL;
    session->recipient_index = NULL;
    session->recipient_count = session->recipient_room = 0;
    session->only_recipient = NULL;
    session->final_sender = NULL;
    session->final_recipient = NULL;
    session->accepted_count = session->overshoot_count = 0;
    session->queue_id[0] = '\0';
    session->flags &= ~(unsigned)(SESSION_IN_TRANSACTION | SESSION_UTF8_WANTED | SESSION_8BITMIME |
                                  SESSION_HOLD | SESSION_DISCARD);
}

static void log_disconnect(struct smtp_session *session)
{
    struct str counts = STR_EMPTY;
    unsigned total = 0, good = 0;
    for (unsigned i = 0; i < VERB_COUNT; i++) {
        if (session->commands[i] == 0)
            continue;
        total += session->commands[i];
        good += session->succeeded[i];
        if (session->succeeded[i] == session->commands[i])
            str_printf(&counts, " %s=%u", verbs[i].counter, session->commands[i]);
        else
            str_printf(&counts, " %s=%u/%u", verbs[i].counter, session->succeeded[i], session->commands[i]);
    }
    str_printf(&counts, " commands=%u", good);
    if (good != total || total == 0)
        str_printf(&counts, "/%u", total);
    if ((session->flags & SESSION_SENT_BARE_LF) != 0)
        str_append(&counts, " notes=bare_lf");
    log_info("disconnect from %s%s", session->client, str_text(&counts));
    str_free(&counts);
}

static void session_free(struct smtp_session *session)
{
    stream_close(&session->stream);
    arena_free(session->scratch);
    free(session->server_address);
    free(session->server_port);
    free(session->client_name);
    free(session->client_address);
    free(session->client_port);
    free(session->client);
    free(session->helo_name);
    free(session->denied);
    free(session->sasl_method);
    free(session->sasl_username);
    free(session->sasl_sender);
    free(session);
}

struct smtp_session *smtp_session_new(const struct smtp_server *server, int fd, const char *client_name,
                                      const char *client_address, const char *client_port, void *owner)
{
    struct smtp_session *session = mem_alloc(sizeof *session);
    session->server = server;
    session->owner = owner;
    stream_init(&session->stream, fd);
    smtp_session_set_client(session, client_name, client_address, client_port);
    session->scratch = arena_new();
    session->where = "CONNECT";
    session->budget_ms = server->timeout * 1000;
    return session;
}

void smtp_session_run(struct smtp_session *session)
{
    log_info("connect from %s", session->client);
    bool is_wrapped = session->server->tls_wrapper && session->denied == NULL;
    if (!is_wrapped || smtp_session_begin_wrapped(session)) {
        greet(session);
        converse(session);
    }
    smtp_session_reset(session);
    if (stream_flush(&session->stream, smtp_session_deadline(session)) != IO_OK)
        stream_discard_input(&session->stream); /* the peer is gone; its last reply with it */
    smtp_transcript_flush(session, 0);
    log_disconnect(session);
    session->server->policy->on_disconnect(session);
    session_free(session);
}
