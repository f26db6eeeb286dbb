/* SPDX-License-Identifier: ISC */
/*
 * content: collects, edits and hands over one message. Called by DATA and BDAT. Writes only to the descriptor that
 * the queue gave. When the queue or its file fails, the rest is still read (the client must get its answer at the
 * end), and the answer is a 4xx.
 */
#include "common/smtp/server/content.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address_parse.h"
#include "common/mail/header_edit.h"
#include "common/mail/received.h"

/* Leaves room in a SUBMIT for the headers that are added. */
#define SPILL_AT (INLINE_CONTENT_LIMIT - 4096)

struct spool_file {
    int fd;
    XXH3_state_t *hash;
    uint64_t size;
};

struct content_full {
    struct content content; /* the part that others see */
    struct spool_file spool;
    bool shown;             /* on_headers has been called */
    bool edited;            /* headers are done; head holds them until written */
    bool checking;          /* the checks have begun: Received is in the text */
    struct str rest;        /* what the checks left: half a header or line */
    struct str head;
    struct header_facts facts;
    char *message_id;
    bool said_resent_id;
};

static struct content_full *full_of(struct smtp_session *session)
{
    return (struct content_full *)session->content;
}

void content_begin(struct smtp_session *session, bool is_chunk)
{
    struct content_full *full = mem_alloc(sizeof *full);
    full->spool.fd = -1;
    data_reader_init(&full->content.reader, is_chunk);
    full->content.reader.any_dot_ends = (session->flags & SESSION_BARE_NEWLINE_OK) != 0;
    full->content.reader.keep_bare_cr = !session->server->replace_stray_cr;
    session->content = &full->content;
    if (session->server->policy->begin_content != NULL && session->filter == NULL)
        session->server->policy->begin_content(session);
}

static void close_spool(struct spool_file *spool)
{
    if (spool->fd >= 0 && close(spool->fd) != 0)
        log_warning("spool file: close: %m");
    spool->fd = -1;
    XXH3_freeState(spool->hash);
    spool->hash = NULL;
}

void content_drop(struct smtp_session *session)
{
    struct content_full *full = full_of(session);
    if (full == NULL)
        return;
    if (full->spool.fd >= 0) /* opened and never submitted */
        session->server->policy->abandon(session);
    if (session->checker != NULL)
        session->server->policy->end_checks(session);
    session->content = NULL;
    session->checker = NULL;
    close_spool(&full->spool);
    str_free(&full->content.text);
    str_free(&full->head);
    str_free(&full->rest);
    free(full->message_id);
    free(full);
}

/* --- headers --------------------------------------------------------------------------- */

/* Said once: when it is seen, or when there can be none any more. */
static void log_message_id(struct smtp_session *session, struct content_full *full, bool is_all)
{
    if (full->message_id != NULL || (!full->facts.has_message_id && !full->facts.ended && !is_all))
        return;
    struct slice id = full->facts.has_message_id ? full->facts.message_id : SLICE("<>");
    struct str copy = STR_EMPTY;
    str_append_slice(&copy, id);
    full->message_id = str_detach(&copy);
    /* The checks said so already of one that they saw. */
    if (session->checker == NULL || !full->facts.has_message_id || full->facts.added_message_id)
        log_info_as("cleanup", "%s: message-id=%s", session->queue_id, full->message_id);
}

/* One that the client gave, while its text is there. */
static void log_resent_id(struct smtp_session *session, struct content_full *full)
{
    struct slice id = full->facts.resent_message_id;
    if (full->said_resent_id || id.data == NULL)
        return;
    full->said_resent_id = true;
    if (session->checker == NULL)
        log_info_as("cleanup", "%s: resent-message-id=%.*s", session->queue_id, SLICE_ARGS(id));
}

/* RFC 3848 and 6531: ESMTP, with S for TLS and A for a login. */
static const char *received_protocol(const struct smtp_session *session)
{
    static const char *const names[2][4] = {{"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"},
                                            {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"}};
    if ((session->flags & SESSION_ESMTP) == 0)
        return "SMTP";
    return names[(session->flags & SESSION_UTF8_WANTED) != 0]
                [(session->tls != NULL ? 2 : 0) + (session->sasl_username != NULL ? 1 : 0)];
}

void content_put_received(struct smtp_session *session, struct str *head)
{
    struct received_line line = {
        .helo_name = session->helo_name,
        .client_name = session->client_name,
        .client_address = session->client_address,
        .my_hostname = session->server->my_hostname,
        .mail_name = session->server->mail_name,
        .hide_client = session->server->hide_client,
        .protocol = received_protocol(session),
        .encryption = smtp_session_encryption_trace(session),
        .login = session->server->auth_in_header ? session->sasl_username : NULL,
        .queue_id = session->queue_id,
        .wall_seconds = session->arrival_us / 1000000,
    };
    if (session->only_recipient != NULL)
        line.only_recipient = smtp_session_external(session, session->only_recipient);
    if (session->prepended != NULL)
        str_append(head, session->prepended);
    received_append(&line, head);
}

/* The text in memory: up to its last line end when more is to come, since half a line cannot be judged. */
static struct slice whole_lines(const struct content_full *full, bool is_all)
{
    struct slice text = str_slice(&full->content.text);
    const char *last = is_all || text.len == 0 ? NULL : memrchr(text.data, '\n', text.len);
    if (last != NULL)
        text.len = (size_t)(last - text.data) + 1;
    return text;
}

static void show_headers(struct smtp_session *session, bool is_all)
{
    struct content_full *full = full_of(session);
    const struct smtp_server_policy *policy = session->server->policy;
    if (full->shown || policy->on_headers == NULL)
        return;
    full->shown = true;
    policy->on_headers(session, whole_lines(full, is_all), is_all);
}

void content_show_headers(struct smtp_session *session)
{
    show_headers(session, true);
}

/* When the text is checked, what the policy prepended is in it already. */
static unsigned count_own_results(const struct smtp_session *session)
{
    unsigned count = 0;
    struct slice rest = slice_of(session->checker != NULL ? session->prepended : NULL), line;
    while (slice_next_token(&rest, "\n", &line))
        count += slice_starts_with_nocase(line, SLICE("authentication-results:"));
    return count;
}

/* Moves the header section, or what has come of it, from text to head, edited. What may be half a header stays
 * in text until more of it has come. */
static void edit_headers(struct smtp_session *session, bool is_all)
{
    struct content_full *full = full_of(session);
    const struct smtp_server *server = session->server;
    char date[MAIL_DATE_SIZE];
    struct str id = STR_EMPTY;
    struct header_rules rules = {
        .drop = server->drop_headers,
        .drop_count = server->drop_header_count,
        .complete = server->complete_headers || server->policy->completes_headers(session),
        .forged_results_id = server->policy->forged_results_id != NULL ? server->policy->forged_results_id(session) : NULL,
        .own_results = count_own_results(session),
        .size_limit = server->header_size_limit,
        .new_to = server->undisclosed_recipients,
        .is_continued = full->edited,
        .is_whole = session->checker != NULL, /* the checks give whole headers only */
    };
    if (rules.complete) {
        message_id_append(session->arrival_us / 1000000, session->queue_id, server->my_hostname, &id);
        rules.new_message_id = str_text(&id);
        rules.new_date = mail_date(session->arrival_us / 1000000, date);
    }
    struct slice text = str_slice(&full->content.text);
    if (server->policy->prepare_headers != NULL && !server->policy->prepare_headers(session, text, &rules))
        full->content.status = CONTENT_ERROR;
    if (full->content.status != CONTENT_OK) {
        arena_free(rules.arena);
        str_free(&id);
        return;
    }
    if (rules.complete) {
        const char *sender = smtp_session_sender(session);
        rules.new_from = *sender != '\0' ? smtp_session_external(session, sender) : "MAILER-DAEMON";
    }
    if (!full->edited && session->checker == NULL)
        content_put_received(session, &full->head);
    size_t taken = header_edit(text, is_all, &rules, &full->head, &full->facts);
    arena_free(rules.arena); /* a header section can be as long as a message: not until the transaction's end */
    if (full->facts.resent_came_first)
        log_resent_id(session, full);
    log_message_id(session, full, is_all);
    log_resent_id(session, full);
    if (full->facts.added_resent_message_id)
        log_info_as("cleanup", "%s: resent-message-id=%s", session->queue_id, str_text(&id));
    struct str rest = STR_EMPTY;
    str_append_slice(full->facts.ended || is_all ? &full->head : &rest, slice_skip(text, taken));
    str_free(&full->content.text);
    full->content.text = rest;
    full->edited = true;
    str_free(&id);
    unsigned own = session->checker == NULL ? 1 : full->content.dropped_hops;
    if (full->facts.received_count + own >= server->hopcount_limit && full->content.status == CONTENT_OK) {
        log_warning_as("cleanup", "%s: message rejected: hopcount exceeded", session->queue_id);
        full->content.status = CONTENT_TOO_MANY_HOPS;
    }
}

/* --- content checks ------------------------------------------------------------------------- */

static void put_received_in_front(struct smtp_session *session, struct content_full *full)
{
    struct str all = STR_EMPTY;
    struct slice text = str_slice(&full->content.text);
    content_put_received(session, &all);
    header_defuse_mbox_line(&text, &all);
    str_append_slice(&all, text);
    str_free(&full->content.text);
    full->content.text = all;
    full->checking = true;
}

/* What the policy makes of the text takes its place; what it cannot judge yet waits for more. */
static void run_checks(struct smtp_session *session, bool is_all)
{
    struct content_full *full = full_of(session);
    struct str out = STR_EMPTY;
    size_t taken = 0;
    if (session->checker == NULL || full->content.status != CONTENT_OK)
        return;
    if (!full->checking)
        put_received_in_front(session, full);
    struct slice text = str_slice(&full->content.text);
    full->content.status =
        (enum content_status)session->server->policy->check_content(session, text, is_all, &taken, &out);
    str_append_slice(&full->rest, slice_skip(text, taken));
    str_free(&full->content.text);
    full->content.text = out;
}

/* --- the spool file ------------------------------------------------------------------------ */

static bool write_spool(struct spool_file *spool, struct slice bytes)
{
    if (XXH3_64bits_update(spool->hash, bytes.data, bytes.len) != XXH_OK)
        return false;
    spool->size += bytes.len;
    while (bytes.len > 0) {
        ssize_t n = write(spool->fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = slice_skip(bytes, (size_t)n);
    }
    return true;
}

static bool open_spool(struct smtp_session *session)
{
    struct content_full *full = full_of(session);
    enum submit_status status = SUBMIT_ERROR;
    if (full->spool.fd >= 0)
        return true;
    full->spool.fd = session->server->policy->open_spool(session, &status);
    if (full->spool.fd < 0) {
        full->content.status = status == SUBMIT_NO_SPACE ? CONTENT_NO_SPACE : CONTENT_ERROR;
        return false;
    }
    full->spool.hash = XXH3_createState();
    if (full->spool.hash == NULL || XXH3_64bits_reset(full->spool.hash) != XXH_OK)
        mem_exhausted(0);
    return true;
}

/* Writes out what has gathered in memory. A header section can be longer than that. */
static void spill(struct smtp_session *session, bool is_all)
{
    struct content_full *full = full_of(session);
    if (!full->facts.ended)
        edit_headers(session, is_all);
    if (full->content.status != CONTENT_OK || !open_spool(session))
        return;
    bool written = write_spool(&full->spool, str_slice(&full->head));
    if (written && full->facts.ended)
        written = write_spool(&full->spool, str_slice(&full->content.text));
    if (!written) {
        log_warning("%s: write queue file: %m", session->queue_id);
        full->content.status = errno == ENOSPC || errno == EDQUOT ? CONTENT_NO_SPACE : CONTENT_ERROR;
    }
    str_free(&full->head);
    if (full->facts.ended)
        str_clear(&full->content.text);
    if (full->rest.len > 0) { /* only with checks, and then the text is used up */
        str_free(&full->content.text);
        full->content.text = full->rest;
        full->rest = STR_EMPTY;
    }
}

bool content_feed(struct smtp_session *session, struct slice window, size_t *taken)
{
    struct content *content = session->content;
    uint64_t limit = session->server->message_size_limit;
    size_t before = content->text.len;
    bool ended;
    *taken = data_reader_feed(&content->reader, window, &content->text, &ended);
    content->size += content->text.len - before;
    if (content->status == CONTENT_OK && limit > 0 && content->size > limit) {
        if (session->filter != NULL)
            log_warning("%s: queue file size limit exceeded", smtp_session_id(session));
        else
            log_warning_as("cleanup", "%s: queue file size limit exceeded", session->queue_id);
        content->status = CONTENT_TOO_LARGE;
    }
    if (content->status == CONTENT_OK && content->text.len >= SPILL_AT && (session->flags & SESSION_DISCARD) == 0) {
        show_headers(session, false);
        if (session->filter != NULL)
            content_pass_to_filter(session);
        else {
            run_checks(session, false);
            spill(session, false);
        }
    }
    if (content->status != CONTENT_OK || (session->flags & SESSION_DISCARD) != 0)
        str_clear(&content->text); /* nobody will want it */
    return ended;
}

/* --- handing over ------------------------------------------------------------------------------ */

static void fill_envelope(struct smtp_session *session, struct envelope *envelope)
{
    memcpy(envelope->queue_id, session->queue_id, sizeof envelope->queue_id);
    envelope->arrival_us = session->arrival_us;
    envelope->sender = smtp_session_sender(session);
    bool says_8bit = session->server->detects_8bit && full_of(session)->facts.says_8bit;
    envelope->flags |= ((session->flags & SESSION_8BITMIME) != 0 || says_8bit ? ENVELOPE_8BITMIME : 0u) |
                       ((session->flags & SESSION_UTF8_WANTED) != 0 ? ENVELOPE_SMTPUTF8 : 0u) |
                       ((session->flags & SESSION_HOLD) != 0 ? ENVELOPE_HOLD : 0u);
    envelope->dsn_return = session->dsn_return;
    envelope->dsn_envelope_id = session->dsn_envelope_id;
    const struct smtp_forward *forward = session->forward;
    bool is_forwarded = forward != NULL && forward->has_client;
    envelope->client_name = is_forwarded ? forward->name : session->client_name;
    envelope->client_address = is_forwarded ? forward->address : session->client_address;
    envelope->client_port = is_forwarded ? forward->port : session->client_port;
    envelope->helo_name = is_forwarded ? forward->helo : session->helo_name;
    envelope->protocol_name = is_forwarded ? forward->protocol : (char *)smtp_session_protocol(session);
    envelope->log_ident = forward != NULL ? forward->ident : NULL;
    envelope->sasl_method = session->sasl_method;
    envelope->sasl_username = session->sasl_username;
    envelope->sasl_sender = session->sasl_sender;
    envelope->content_filter = session->content_filter;
    envelope->message_id = full_of(session)->message_id;
    envelope->recipients = session->recipients;
    envelope->recipient_count = session->recipient_count;
}

enum content_status content_submit(struct smtp_session *session)
{
    struct content_full *full = full_of(session);
    struct submission submission = {.serial = session->serial};
    run_checks(session, true);
    if (full->content.status == CONTENT_OK && (session->flags & SESSION_DISCARD) != 0)
        return CONTENT_OK;
    if (full->content.status == CONTENT_OK && !full->edited)
        edit_headers(session, true);
    if (full->spool.fd >= 0)
        spill(session, true);
    if (full->content.status != CONTENT_OK)
        return full->content.status;
    fill_envelope(session, &submission.envelope);
    submission.in_file = full->spool.fd >= 0;
    if (submission.in_file) {
        submission.content_size = full->spool.size;
        submission.content_hash = XXH3_64bits_digest(full->spool.hash);
        close_spool(&full->spool);
    } else {
        submission.content = str_slice(&full->head);
        submission.content_size = full->head.len;
        submission.content_hash = XXH3_64bits(submission.content.data, submission.content.len);
    }
    switch (session->server->policy->submit(session, &submission)) {
    case SUBMIT_OK:
        return CONTENT_OK;
    case SUBMIT_NO_SPACE:
        return CONTENT_NO_SPACE;
    case SUBMIT_ERROR:
        break;
    }
    return CONTENT_ERROR;
}
