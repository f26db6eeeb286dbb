/* SPDX-License-Identifier: ISC */
/*
 * bounce: who is told about failed, delayed and delivered recipients, and the notification's way into the spool
 * like any other message. A message from the null sender is never answered to its sender; one that the
 * postmaster's own copy failed to reach is dropped with a log line: nothing here can loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/bounce_message.h"
#include "common/mail/lookup_protocol.h"
#include "common/process/role.h"
#include "common/spool/spool_io.h"
#include "queue/queue.h"

#define MOST_HEADERS (64 * 1024) /* of a large message, given back */

static size_t awaited; /* notifications whose addressees lookup is looking for */

bool bounces_are_idle(void)
{
    return awaited == 0;
}

/* A notification under way, and what waits for it. */
struct pending_bounce {
    struct active *about;
    void (*done)(struct active *active, int error);
};

/* Whom one goes to: a local sender or postmaster may be an alias. */
struct addressees {
    const char *original;
    char **list;
    size_t count;
};

/* What is to be sent, while lookup says whom it reaches; in the message's arena. */
struct bounce_plan {
    struct active *about;
    void (*done)(struct active *active, int error);
    enum bounce_kind kind;
    const bool *marked;
    struct bounce_recipient *recipients;
    size_t recipient_count; /* that the sender hears of; 0: it is not told */
    struct addressees sender, postmaster;
};

/* --- the message it is about ------------------------------------------------------------------- */

/* The content, or as much as is given back, in the arena. */
static struct slice bounce_content(struct active *active, struct arena *arena, bool *headers_only)
{
    uint64_t wanted = active->content_size;
    *headers_only = *headers_only || wanted > settings.bounce_size_limit;
    if (active->frame != NULL || (active->message->where == PLACE_JOURNAL && active_load_content(active)))
        return active->content;
    if (*headers_only && wanted > MOST_HEADERS)
        wanted = MOST_HEADERS;
    char *bytes = arena_alloc(arena, (size_t)wanted);
    int fd = message_open_file(active->message);
    bool good = fd >= 0 && spool_io_read(fd, bytes, (size_t)wanted, (off_t)active->content_offset) == 0;
    if (!good)
        log_warning("%s: cannot read the message: %s", active->message->queue_id, strerror(errno));
    if (fd >= 0)
        close(fd);
    return slice_range(bytes, good ? (size_t)wanted : 0);
}

/* --- storing it -------------------------------------------------------------------------------- */

static void bounce_stored(struct active *notice, int error)
{
    struct pending_bounce *pending = notice->stored_context;
    if (pending == NULL)
        return;
    pending->done(pending->about, error);
    free(pending);
}

static struct active *bounce_new(uint32_t serial, const char *queue_id, const char *sender, const struct addressees *to)
{
    struct active *notice = active_new(message_new(serial, queue_id, PLACE_JOURNAL));
    struct envelope *envelope = &notice->envelope;
    char *empty = arena_strdup(notice->arena, "");
    *envelope = (struct envelope){
        .arrival_us = wall_us(), .flags = ENVELOPE_BOUNCE, .client_name = empty, .client_address = empty,
        .client_port = empty, .helo_name = empty, .protocol_name = empty, .sasl_method = empty,
        .sasl_username = empty, .sasl_sender = empty, .log_ident = empty, .content_filter = empty,
        .message_id = empty, .dsn_envelope_id = empty, .recipient_count = (uint32_t)to->count};
    snprintf(envelope->queue_id, sizeof envelope->queue_id, "%s", queue_id);
    envelope->sender = arena_strdup(notice->arena, sender);
    envelope->recipients = arena_alloc_array(notice->arena, to->count, sizeof *envelope->recipients);
    for (size_t i = 0; i < to->count; i++)
        envelope->recipients[i] = (struct recipient){
            .address = arena_strdup(notice->arena, to->list[i]), .original = arena_strdup(notice->arena, to->original),
            .dsn_original = empty, .notify = sender[0] == '\0' ? NOTIFY_NEVER : 0};
    notice->recipients = arena_alloc_array(notice->arena, to->count, sizeof *notice->recipients);
    notice->targets = arena_alloc_array(notice->arena, to->count, sizeof *notice->targets);
    return notice;
}

struct notice {
    enum bounce_notice kind;
    const char *sender;
    const struct addressees *to;
    const char *log_words; /* "sender non-delivery notification" */
    struct pending_bounce *pending; /* NULL: nothing waits for it */
};

/* Writes one notification. False: no serial number could be had. */
static bool bounce_write(struct active *about, const struct notice *what, struct bounce_message *message)
{
    char queue_id[QUEUE_ID_SIZE];
    struct str text = STR_EMPTY, id = STR_EMPTY;
    uint32_t serial;
    if (!spool_take_serials(&spool, 1, &serial) || message_find(serial) != NULL)
        return false;
    message->now_us = wall_us();
    queue_id_make(queue_id, message->now_us, serial, settings.long_ids);
    message->notice = what->kind;
    message->queue_id = queue_id;
    message->to = what->to->original;
    bounce_message_format(message, &text);
    bounce_message_id(message, &id);
    struct active *notice = bounce_new(serial, queue_id, what->sender, what->to);
    notice->envelope.flags |= (about->envelope.flags & (ENVELOPE_8BITMIME | ENVELOPE_SMTPUTF8)) |
                              (message->may_be_8bit ? ENVELOPE_8BITMIME : 0u);
    notice->envelope.message_id = arena_strdup(notice->arena, str_text(&id));
    notice->content = str_slice(&text);
    notice->content_size = text.len;
    notice->content_hash = frame_hash(str_slice(&text));
    notice->stored = bounce_stored;
    notice->stored_context = what->pending;
    log_info_as("cleanup", "%s: message-id=%s", queue_id, str_text(&id));
    log_info_as("bounce", "%s: %s: %s", about->message->queue_id, what->log_words, queue_id);
    intake_store(notice); /* copies the content into its frame */
    str_free(&text);
    str_free(&id);
    return true;
}

/* --- who is told -------------------------------------------------------------------------------- */

static uint8_t notify_flag(enum bounce_kind kind)
{
    return kind == BOUNCE_FAILED ? NOTIFY_FAILURE : kind == BOUNCE_DELAYED ? NOTIFY_DELAY : NOTIFY_SUCCESS;
}

/* The recipients that the notification speaks of. A copy for the postmaster speaks of all. */
static size_t bounce_recipients(const struct active *active, enum bounce_kind kind, const bool *marked, bool all,
                                struct bounce_recipient *list)
{
    size_t count = 0;
    for (size_t i = 0; i < active->envelope.recipient_count; i++) {
        const struct stored_recipient *state = &active->recipients[i];
        uint8_t notify = active->envelope.recipients[i].notify;
        bool wanted = all || (notify & notify_flag(kind)) != 0 || (notify == 0 && kind != BOUNCE_DELIVERED);
        if (!marked[i] || !wanted)
            continue;
        list[count++] = (struct bounce_recipient){
            &active->envelope.recipients[i], state->dsn != NULL ? state->dsn : "5.0.0",
            state->reason != NULL ? state->reason : "message is administratively expired", state->remote_host,
            state->diagnostic};
    }
    return count;
}

static bool is_double_bounce(const char *sender)
{
    size_t len = strcspn(sender, "@");
    return len == strlen(settings.double_bounce_sender) &&
           slice_equal_nocase(slice_range(sender, len), slice_of(settings.double_bounce_sender));
}

static bool bounce_for_postmaster(enum bounce_kind kind, bool from_null)
{
    if (kind == BOUNCE_DELIVERED)
        return false;
    if (from_null)
        return kind == BOUNCE_FAILED && settings.notify_two_bounce;
    return kind == BOUNCE_FAILED ? settings.notify_bounce : settings.notify_delay;
}

static const char *postmaster_address(enum bounce_kind kind, bool from_null)
{
    return from_null ? settings.two_bounce_recipient :
           kind == BOUNCE_FAILED ? settings.bounce_recipient : settings.delay_recipient;
}

/* The postmaster's copy. waits: nothing else is sent, so it is what the message waits for. */
static bool bounce_to_postmaster(const struct bounce_plan *plan, struct bounce_message *message, struct pending_bounce *waits)
{
    struct active *active = plan->about;
    char *sender = arena_printf(active->arena, "%s@%s", settings.double_bounce_sender, settings.host_name);
    struct notice what = {plan->kind == BOUNCE_FAILED ? NOTICE_FAILED : NOTICE_DELAYED, sender, &plan->postmaster,
                          plan->kind == BOUNCE_FAILED ? "postmaster non-delivery notification" :
                                                        "postmaster delay notification",
                          waits};
    message->text = bounce_text_for(plan->kind, true);
    message->for_postmaster = true;
    message->recipient_count = bounce_recipients(active, plan->kind, plan->marked, true, plan->recipients);
    return bounce_write(active, &what, message);
}

static bool bounce_to_sender(const struct bounce_plan *plan, struct bounce_message *message, struct pending_bounce *pending)
{
    static const struct notice kinds[] = {
        [BOUNCE_FAILED] = {NOTICE_FAILED, "", NULL, "sender non-delivery notification", NULL},
        [BOUNCE_DELAYED] = {NOTICE_DELAYED, "", NULL, "sender delay notification", NULL},
        [BOUNCE_DELIVERED] = {NOTICE_DELIVERED, "", NULL, "sender delivery status notification", NULL},
    };
    struct notice what = kinds[plan->kind];
    what.to = &plan->sender;
    what.pending = pending;
    return bounce_write(plan->about, &what, message);
}

/* Everybody's address is known: writes what is to be written. */
static void bounce_write_all(struct bounce_plan *plan)
{
    struct active *active = plan->about;
    bool tell_sender = plan->sender.original != NULL, tell_postmaster = plan->postmaster.original != NULL;
    struct bounce_message message = {.text = bounce_text_for(plan->kind, false), .is_threaded = settings.threaded_bounces,
                                     .may_be_8bit = settings.use_utf8,
                                     .mail_daemon = arena_printf(active->arena, "MAILER-DAEMON@%s", settings.origin),
                                     .host_name = settings.host_name, .mail_name = settings.mail_name,
                                     .subject = &active->envelope, .recipients = plan->recipients,
                                     .recipient_count = plan->recipient_count,
                                     .expires_us = active->envelope.arrival_us + settings.maximal_lifetime * 1000000};
    message.headers_only = active->envelope.dsn_return == DSN_RETURN_HEADERS || plan->kind != BOUNCE_FAILED;
    message.content = bounce_content(active, active->arena, &message.headers_only);
    struct pending_bounce *pending = mem_alloc(sizeof *pending);
    *pending = (struct pending_bounce){active, plan->done};
    bool sent = !tell_sender || bounce_to_sender(plan, &message, pending);
    if (sent && tell_postmaster) {
        message.headers_only = message.headers_only || active->envelope.sender[0] != '\0';
        bool copied = bounce_to_postmaster(plan, &message, tell_sender ? NULL : pending);
        sent = tell_sender || copied;
    }
    if (!sent) {
        free(pending);
        plan->done(active, EAGAIN);
    }
}

/* --- whom it reaches --------------------------------------------------------------------------- */

static void bounce_address(struct bounce_plan *plan);

/* A notification passes through canonical and virtual alias maps like any message; a table that fails puts it off. */
static void bounce_addressed(void *context, enum ipc_status status, struct slice body)
{
    struct bounce_plan *plan = context;
    struct active *active = plan->about;
    struct addressees *to = plan->sender.original != NULL && plan->sender.count == 0 ? &plan->sender : &plan->postmaster;
    struct address_answer answer;
    awaited--;
    if (status == IPC_OK && !address_answer_decode(body, active->arena, &answer))
        log_fatal("queue->lookup: malformed ADDRESS answer");
    if (status != IPC_OK || answer.expansion_failed) {
        log_warning_as("bounce", "%s: cannot tell whom a notification to <%s> reaches", active->message->queue_id, to->original);
        plan->done(active, EAGAIN);
        return;
    }
    to->list = answer.expanded;
    to->count = answer.expanded_count;
    if (to->count == 0) { /* nothing to expand */
        to->list = arena_alloc(active->arena, sizeof *to->list);
        to->list[to->count++] = answer.address;
    }
    bounce_address(plan);
}

static void bounce_address(struct bounce_plan *plan)
{
    const struct addressees *both[] = {&plan->sender, &plan->postmaster}, *next = NULL;
    for (size_t i = 0; i < 2 && next == NULL; i++)
        if (both[i]->original != NULL && both[i]->count == 0)
            next = both[i];
    if (next == NULL) {
        bounce_write_all(plan);
        return;
    }
    struct ipc_channel *lookup = role_peer(ROLE_LOOKUP, NULL);
    struct str body = STR_EMPTY;
    ipc_put_u8(&body, ADDRESS_EXPAND);
    ipc_put_text(&body, next->original);
    ipc_put_text(&body, ""); /* main.cf's profile */
    awaited++;
    if (lookup == NULL || !ipc_request(lookup, LOOKUP_ADDRESS, str_slice(&body), -1, bounce_addressed, plan))
        bounce_addressed(plan, IPC_LOST, SLICE(""));
    str_free(&body);
}

void bounce_send(struct active *active, enum bounce_kind kind, const bool *marked,
                 void (*done)(struct active *active, int error))
{
    const char *sender = active->envelope.sender;
    bool from_null = sender[0] == '\0';
    if (is_double_bounce(sender)) {
        if (kind == BOUNCE_FAILED)
            log_warning_as("bounce", "%s: undeliverable postmaster notification discarded", active->message->queue_id);
        done(active, 0);
        return;
    }
    struct bounce_plan *plan = arena_alloc(active->arena, sizeof *plan);
    *plan = (struct bounce_plan){.about = active, .done = done, .kind = kind, .marked = marked};
    plan->recipients = arena_alloc_array(active->arena, active->envelope.recipient_count, sizeof *plan->recipients);
    plan->recipient_count = from_null ? 0 : bounce_recipients(active, kind, marked, false, plan->recipients);
    if (plan->recipient_count > 0)
        plan->sender.original = sender;
    if (bounce_for_postmaster(kind, from_null))
        plan->postmaster.original = arena_strdup(active->arena, postmaster_address(kind, from_null)); /* a reload may come between */
    if (plan->sender.original == NULL && plan->postmaster.original == NULL)
        done(active, 0);
    else
        bounce_address(plan);
}
