/* SPDX-License-Identifier: ISC */
/*
 * smtp transaction: the pipelined envelope, the content, the replies. Used by the lmtp role. Replies are
 * matched to commands by counting alone (RFC 2920), so the slightest doubt about the count ends the session:
 * the rest of the recipients is deferred, and no "250" can be taken for another.
 */
#include "common/smtp/client/transaction.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/quote.h"
#include "common/smtp/client/content_writer.h"

/* Commands sent before their replies are read. More could fill both directions of a connection to a server
 * that does not read while it cannot write. */
#define GROUP_COMMANDS 200
#define GROUP_OCTETS (16u * 1024)

enum command { COMMAND_RSET, COMMAND_MAIL, COMMAND_RCPT, COMMAND_DATA };

static const struct {
    const char *name;     /* "(in reply to ...)" */
    const char *activity; /* "lost connection with X while ..." */
} commands[] = {
    [COMMAND_RSET] = {"RSET command", "sending RSET"},
    [COMMAND_MAIL] = {"MAIL FROM command", "sending MAIL FROM"},
    [COMMAND_RCPT] = {"RCPT TO command", "sending RCPT TO"},
    [COMMAND_DATA] = {"DATA command", "sending DATA command"},
};
static const char end_of_data_name[] = "end of DATA command";
static const char end_of_data_activity[] = "sending end of data -- message may be sent more than once";
static const char body_activity[] = "sending message body";

struct transaction {
    struct smtp_client_session *session;
    struct delivery_content *content;
    struct delivery_report *report;
    struct arena *arena;
    size_t *to;           /* the recipients to send: indices into the delivery's list */
    size_t to_count;
    size_t *accepted;     /* those of them whose RCPT was accepted, in order */
    size_t accepted_count;
    size_t sent, received, total; /* commands of the envelope */
    bool is_probe;        /* an address probe: ends at RCPT, or at DATA */
    bool sends_data;      /* DATA is the last of them */
    bool wants_utf8;
    bool mail_refused;
    bool data_open;       /* the server waits for content */
    struct smtp_failure failure;
};

/* --- failures ---------------------------------------------------------------------- */

static void transaction_fail_rest(struct transaction *t)
{
    delivery_report_rest(t->report, t->failure.dsn, t->failure.reason, t->failure.remote_host,
                         t->failure.diagnostic);
}

static enum smtp_transaction_end transaction_lost(struct transaction *t, enum smtp_read_status status,
                                                  const char *activity)
{
    t->session->broken = true;
    smtp_failure_of_read(t->session, status, activity, t->arena, &t->failure);
    transaction_fail_rest(t);
    return SMTP_TRANSACTION_LOST;
}

static void transaction_reply_fails_rest(struct transaction *t, const char *command)
{
    smtp_failure_of_reply(t->session, command, t->arena, &t->failure);
    transaction_fail_rest(t);
}

static void transaction_reply_fails_one(struct transaction *t, size_t index, const char *command)
{
    smtp_failure_of_reply(t->session, command, t->arena, &t->failure);
    delivery_report_one(t->report, index, t->failure.dsn, t->failure.reason, t->failure.remote_host,
                        t->failure.diagnostic);
}

/* --- before anything is sent -------------------------------------------------------- */

/* An address with a control character could end its command and begin another. */
static void transaction_refuse_unsafe(struct transaction *t)
{
    const struct delivery *delivery = t->report->delivery;
    bool sender_is_safe = quote_is_safe(delivery->envelope.sender);
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        if (delivery_report_is_decided(t->report, i))
            continue;
        if (!sender_is_safe)
            delivery_report_one(t->report, i, "5.1.7", "bad sender address syntax", NULL, NULL);
        else if (!quote_is_safe(delivery->recipients[i].to.address))
            delivery_report_one(t->report, i, "5.1.3", "bad recipient address syntax", NULL, NULL);
        else
            t->to[t->to_count++] = i;
    }
}

/* False: the server cannot take this message, and every recipient has been told. */
static bool transaction_fits_server(struct transaction *t)
{
    const struct delivery *delivery = t->report->delivery;
    const struct smtp_capabilities *can = &t->session->can;
    if (t->wants_utf8 && (can->flags & SMTP_CAN_SMTPUTF8) == 0) {
        delivery_report_rest(t->report, "5.6.7",
                             arena_printf(t->arena, "SMTPUTF8 is required, but was not offered by host %s",
                                          t->session->name_address), NULL, NULL);
        return false;
    }
    if (can->size_limit > 0 && can->size_limit < delivery->content_size) {
        delivery_report_rest(t->report, "5.3.4",
                             arena_printf(t->arena, "message size %llu exceeds size limit %llu of server %s",
                                          (unsigned long long)delivery->content_size,
                                          (unsigned long long)can->size_limit, t->session->name_address),
                             NULL, NULL);
        return false;
    }
    return true;
}

/* Whether SMTPUTF8 is needed; reads the head of the content only when the sender asked for it. */
static enum content_status transaction_learn_utf8(struct transaction *t)
{
    const struct delivery *delivery = t->report->delivery;
    struct slice head;
    if ((delivery->envelope.flags & ENVELOPE_SMTPUTF8) == 0)
        return CONTENT_MORE;
    enum content_status status = delivery_content_next(t->content, &head);
    if (status == CONTENT_MORE)
        t->wants_utf8 = smtp_delivery_needs_utf8(delivery, head);
    delivery_content_rewind(t->content);
    return status == CONTENT_END ? CONTENT_MORE : status;
}

/* --- the envelope --------------------------------------------------------------------- */

/* Which command the nth of the envelope is; *index says which recipient. */
static enum command transaction_command_at(const struct transaction *t, size_t n, size_t *index)
{
    size_t first = t->session->needs_reset ? 1 : 0;
    *index = 0;
    if (n < first)
        return COMMAND_RSET;
    if (n == first)
        return COMMAND_MAIL;
    if (n == t->total - 1 && t->sends_data)
        return COMMAND_DATA;
    *index = t->to[n - first - 1];
    return COMMAND_RCPT;
}

static void transaction_put_command(struct transaction *t)
{
    struct str *out = &t->session->stream.out;
    const struct delivery *delivery = t->report->delivery;
    size_t index, start = out->len;
    switch (transaction_command_at(t, t->sent, &index)) {
    case COMMAND_RSET:
        str_append(out, "RSET");
        break;
    case COMMAND_MAIL:
        t->report->times.setup = wall_us();
        smtp_command_mail(out, delivery, t->wants_utf8, t->session);
        break;
    case COMMAND_RCPT:
        smtp_command_rcpt(out, &delivery->recipients[index].to, t->session);
        break;
    case COMMAND_DATA:
        str_append(out, "DATA");
        break;
    }
    if (log_is_verbose())
        log_debug("> %s: %s", t->session->relay, str_text(out) + start);
    str_append(out, "\r\n");
    t->sent++;
}

static int64_t transaction_deadline(const struct transaction *t, enum command command)
{
    const struct smtp_client_settings *settings = t->session->settings;
    int64_t seconds = settings->rcpt_timeout;
    if (command == COMMAND_RSET)
        seconds = settings->rset_timeout;
    else if (command == COMMAND_MAIL)
        seconds = settings->mail_timeout;
    else if (command == COMMAND_DATA)
        seconds = settings->data_init_timeout;
    return deadline_in_s(seconds);
}

/* A probe knows enough: the server would take mail for this recipient. */
static void transaction_probe_succeeds(struct transaction *t, size_t index)
{
    const struct smtp_reply *reply = &t->session->reply;
    delivery_report_one(t->report, index, reply->dsn[0] == '2' ? reply->dsn : "2.0.0", smtp_reply_one_line(reply, t->arena),
                        t->session->host, NULL);
}

/* Takes the reply to the next unanswered command. False: RSET failed, the session is of no use. */
static bool transaction_take_reply(struct transaction *t)
{
    size_t index;
    enum command command = transaction_command_at(t, t->received++, &index);
    int reply_class = smtp_reply_class(&t->session->reply);
    switch (command) {
    case COMMAND_RSET:
        return reply_class == 2;
    case COMMAND_MAIL:
        if (reply_class != 2) {
            transaction_reply_fails_rest(t, commands[command].name);
            t->mail_refused = true;
        }
        break;
    case COMMAND_RCPT:
        if (t->mail_refused)
            break;
        if (reply_class == 2)
            t->accepted[t->accepted_count++] = index;
        if (reply_class == 2 && t->is_probe && !t->sends_data)
            transaction_probe_succeeds(t, index);
        else if (reply_class != 2)
            transaction_reply_fails_one(t, index, commands[command].name);
        break;
    case COMMAND_DATA:
        t->data_open = reply_class == 3;
        if (!t->data_open && t->accepted_count > 0)
            transaction_reply_fails_rest(t, commands[command].name);
        for (size_t i = 0; t->data_open && t->is_probe && i < t->accepted_count; i++)
            transaction_probe_succeeds(t, t->accepted[i]);
        break;
    }
    return true;
}

/* A 2xx to DATA or a 3xx to anything else: an answer to another command, so every later one would be, too. */
static bool transaction_reply_is_shifted(const struct transaction *t, enum command command)
{
    int reply_class = smtp_reply_class(&t->session->reply);
    return reply_class == (command == COMMAND_DATA ? 2 : 3);
}

static enum smtp_transaction_end transaction_out_of_step(struct transaction *t, const char *command)
{
    t->session->broken = true;
    transaction_reply_fails_rest(t, command);
    return SMTP_TRANSACTION_LOST;
}

/* A reused connection that the server closed, or closes with 421, because nobody used it for a while. */
static bool transaction_was_idle(const struct transaction *t, enum smtp_read_status status)
{
    return t->received == 0 && t->session->uses > 1 &&
           (status == SMTP_READ_LOST || (status == SMTP_READ_OK && t->session->reply.code == 421));
}

/* One group of commands and its replies. SMTP_TRANSACTION_DONE: go on. */
static enum smtp_transaction_end transaction_exchange_group(struct transaction *t)
{
    struct smtp_client_session *session = t->session;
    bool pipelines = (session->can.flags & SMTP_CAN_PIPELINE) != 0;
    size_t index, first = t->sent;
    do {
        transaction_put_command(t);
    } while (pipelines && t->sent < t->total && t->sent - first < GROUP_COMMANDS &&
             stream_pending_output(&session->stream) < GROUP_OCTETS);
    enum command command = transaction_command_at(t, t->received, &index);
    int64_t deadline = transaction_deadline(t, command);
    enum smtp_read_status status = smtp_read_status_of_io(stream_flush(&session->stream, deadline));
    while (status == SMTP_READ_OK && t->received < t->sent) {
        command = transaction_command_at(t, t->received, &index);
        status = smtp_client_session_read_reply(session, transaction_deadline(t, command));
        if (status == SMTP_READ_OK && transaction_reply_is_shifted(t, command))
            return transaction_out_of_step(t, commands[command].name);
        if (transaction_was_idle(t, status) || (status == SMTP_READ_OK && !transaction_take_reply(t)))
            return SMTP_TRANSACTION_STALE;
    }
    if (transaction_was_idle(t, status))
        return SMTP_TRANSACTION_STALE;
    if (status == SMTP_READ_OK && smtp_client_session_has_stray_input(session, false))
        status = SMTP_READ_GARBLED; /* more replies than commands: none of the later ones can be trusted */
    if (status == SMTP_READ_OK)
        return SMTP_TRANSACTION_DONE;
    command = transaction_command_at(t, t->received < t->total ? t->received : t->total - 1, &index);
    return transaction_lost(t, status, commands[command].activity);
}

static enum smtp_transaction_end transaction_send_envelope(struct transaction *t)
{
    t->total = t->to_count + 1 + (t->sends_data ? 1 : 0) + (t->session->needs_reset ? 1 : 0);
    while (t->sent < t->total) {
        if (t->mail_refused || (t->sends_data && t->sent == t->total - 1 && t->accepted_count == 0))
            break; /* nobody is left to send to */
        enum smtp_transaction_end end = transaction_exchange_group(t);
        if (end != SMTP_TRANSACTION_DONE)
            return end;
    }
    /* What was begun must be ended before the next MAIL; a DATA that was accepted for nobody cannot be. */
    t->session->needs_reset = !t->data_open;
    if (t->data_open && (t->accepted_count == 0 || t->is_probe))
        t->session->broken = true;
    return SMTP_TRANSACTION_DONE;
}

/* --- the content ------------------------------------------------------------------------ */

/* The server hung up while we were writing. It may have said why. */
static enum smtp_transaction_end transaction_body_refused(struct transaction *t, enum smtp_read_status status)
{
    struct smtp_client_session *session = t->session;
    session->broken = true;
    if (status == SMTP_READ_LOST &&
        smtp_client_session_read_reply(session, transaction_deadline(t, COMMAND_DATA)) == SMTP_READ_OK &&
        smtp_reply_class(&session->reply) >= 4) {
        transaction_reply_fails_rest(t, end_of_data_name);
        return SMTP_TRANSACTION_DONE;
    }
    return transaction_lost(t, status, body_activity);
}

static enum smtp_transaction_end transaction_content_failed(struct transaction *t, enum content_status status)
{
    t->session->broken = true; /* without the final dot the server must forget the message */
    if (status == CONTENT_CORRUPT)
        return SMTP_TRANSACTION_CORRUPT;
    log_warning("%s: cannot read the message content: %s", t->report->delivery->envelope.queue_id, strerror(errno));
    delivery_report_rest(t->report, "4.3.0", "local data error", NULL, NULL);
    return SMTP_TRANSACTION_DONE;
}

static enum smtp_transaction_end transaction_send_content(struct transaction *t)
{
    static struct str buffer; /* shared by all fibers: taken while in use */
    struct stream *stream = &t->session->stream;
    const struct smtp_client_settings *settings = t->session->settings;
    struct content_writer writer;
    struct str out = buffer;
    struct slice piece;
    enum content_status status;
    enum smtp_read_status written = SMTP_READ_OK;
    buffer = STR_EMPTY;
    content_writer_start(&writer, settings->line_limit);
    while ((status = delivery_content_next(t->content, &piece)) == CONTENT_MORE && written == SMTP_READ_OK) {
        content_writer_add(&writer, piece, &out);
        if (t->content->position < t->report->delivery->content_size) {
            written = smtp_read_status_of_io(
                stream_write(stream, str_slice(&out), deadline_in_s(settings->data_xfer_timeout)));
            str_clear(&out);
        }
    }
    if (status == CONTENT_END && written == SMTP_READ_OK) {
        content_writer_finish(&writer, &out);
        written = smtp_read_status_of_io(
            stream_write(stream, str_slice(&out), deadline_in_s(settings->data_xfer_timeout)));
    }
    str_clear(&out);
    if (buffer.data == NULL && out.cap < 4 * DELIVERY_CHUNK)
        buffer = out;
    else
        str_free(&out);
    if (writer.has_folded)
        log_info("%s: breaking line > %zu bytes with <CR><LF>SPACE", t->report->delivery->envelope.queue_id,
                 settings->line_limit);
    if (written != SMTP_READ_OK)
        return transaction_body_refused(t, written);
    return status == CONTENT_END ? SMTP_TRANSACTION_DONE : transaction_content_failed(t, status);
}

static void transaction_take_final_reply(struct transaction *t, size_t index)
{
    const struct smtp_reply *reply = &t->session->reply;
    if (smtp_reply_class(reply) >= 4) {
        transaction_reply_fails_one(t, index, end_of_data_name);
        return;
    }
    const char *text = smtp_reply_one_line(reply, t->arena);
    delivery_report_one(t->report, index, reply->dsn, text, t->session->host,
                        arena_printf(t->arena, "smtp; %s", text));
}

/* LMTP: one reply for each accepted recipient (RFC 2033 section 4.2); SMTP: one for all. */
static enum smtp_transaction_end transaction_take_final_replies(struct transaction *t)
{
    bool for_each = t->session->settings->lmtp;
    for (size_t i = 0; i < t->accepted_count; i++) {
        if (i == 0 || for_each) {
            enum smtp_read_status status = smtp_client_session_read_reply(
                t->session, deadline_in_s(t->session->settings->data_done_timeout));
            if (status != SMTP_READ_OK)
                return transaction_lost(t, status, end_of_data_activity);
            if (smtp_reply_class(&t->session->reply) == 3)
                return transaction_out_of_step(t, end_of_data_name);
        }
        transaction_take_final_reply(t, t->accepted[i]);
    }
    if (smtp_client_session_has_stray_input(t->session, false))
        t->session->broken = true;
    return SMTP_TRANSACTION_DONE;
}

/* --- all of it ------------------------------------------------------------------------------ */

static enum smtp_transaction_end transaction_run(struct transaction *t)
{
    transaction_refuse_unsafe(t);
    if (t->to_count == 0)
        return SMTP_TRANSACTION_DONE;
    enum content_status head = transaction_learn_utf8(t);
    if (head != CONTENT_MORE)
        return transaction_content_failed(t, head);
    if (!transaction_fits_server(t))
        return SMTP_TRANSACTION_DONE;
    t->session->uses++;
    enum smtp_transaction_end end = transaction_send_envelope(t);
    if (end == SMTP_TRANSACTION_STALE)
        t->session->broken = true;
    if (end != SMTP_TRANSACTION_DONE || !t->data_open || t->accepted_count == 0 || t->is_probe)
        return end;
    end = transaction_send_content(t);
    if (end != SMTP_TRANSACTION_DONE || t->report->undecided == 0)
        return end;
    return transaction_take_final_replies(t);
}

enum smtp_transaction_end smtp_transaction_run(struct smtp_client_session *session, struct delivery_content *content,
                                               struct delivery_report *report, const char **why)
{
    struct transaction t = {
        .session = session, .content = content, .report = report, .arena = report->arena,
    };
    size_t count = report->delivery->recipient_count;
    t.is_probe = (report->delivery->envelope.flags & ENVELOPE_PROBE) != 0;
    t.sends_data = !t.is_probe || session->settings->probes_data;
    t.to = arena_alloc_array(t.arena, count, sizeof(size_t));
    t.accepted = arena_alloc_array(t.arena, count, sizeof(size_t));
    report->relay = arena_strdup(t.arena, session->relay);
    report->uses = session->uses;
    report->server_has_dsn = (session->can.flags & SMTP_CAN_DSN) != 0;
    enum smtp_transaction_end end = transaction_run(&t);
    if (why != NULL)
        *why = end == SMTP_TRANSACTION_LOST ? t.failure.reason : NULL;
    return end;
}
