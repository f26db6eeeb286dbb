/* SPDX-License-Identifier: ISC */
/*
 * settle: what the results of all recipients together mean for a message. In this order: delivered recipients
 * whose sender wants to know, failed ones (and deferred ones of a message that is too old), a delay
 * warning; then it is done, or it waits. A notification is on stable storage before the recipient that it
 * speaks of is marked as done: a crash can double a bounce, never swallow one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/delivery_report.h"
#include "common/mail/quote.h"
#include "queue/queue.h"

bool message_is_busy(const struct message *message)
{
    return message->state == MESSAGE_INTAKE || message->state == MESSAGE_ACTIVE || message->state == MESSAGE_SETTLING ||
           (message->active != NULL && message->active->evacuating);
}

/* --- results ------------------------------------------------------------------------------ */

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static char *keep_text(struct arena *arena, const char *text)
{
    return arena_strdup(arena, text != NULL ? text : "");
}

void settle_recipient(struct active *active, uint32_t index, const struct recipient_result *result)
{
    static const uint8_t outcomes[] = {OUTCOME_SENT, OUTCOME_DEFERRED, OUTCOME_BOUNCED, OUTCOME_NONE};
    if (index >= active->envelope.recipient_count || active->targets[index].outcome != OUTCOME_NONE)
        return;
    if (active->probe != NULL) {
        probe_take_result(active, result);
        return;
    }
    if (result->status == DELIVERY_CORRUPT) {
        active->corrupt = true;
        return;
    }
    struct stored_recipient *recipient = &active->recipients[index];
    active->targets[index].outcome = outcomes[result->status];
    active->targets[index].changed = true;
    if (result->status == DELIVERY_SENT &&
        (result->dsn_relayed || (active->envelope.recipients[index].notify & NOTIFY_SUCCESS) == 0)) {
        recipient->done = true;
        return;
    }
    if (result->status == DELIVERY_DEFERRED && same_text(recipient->reason, result->reason) &&
        same_text(recipient->dsn, result->dsn)) {
        active->targets[index].changed = false;
        return;
    }
    recipient->dsn = keep_text(active->arena, result->dsn);
    recipient->reason = keep_text(active->arena, result->reason);
    recipient->remote_host = keep_text(active->arena, result->remote_host);
    recipient->diagnostic = keep_text(active->arena, result->diagnostic);
}

void settle_locally(struct active *active, uint32_t index, const char *component, enum delivery_status status,
                    const char *dsn, const char *reason)
{
    static struct str line;
    static const char *const words[] = {"sent", "deferred", "bounced", "deferred"};
    struct delivery_times times = {.arrival = active->envelope.arrival_us, .active = active->active_us,
                                   .done = wall_us()};
    char soft_dsn[16];
    bool soft = settings.soft_bounce && status == DELIVERY_BOUNCED && active->probe == NULL;
    if (soft) {
        snprintf(soft_dsn, sizeof soft_dsn, "%s", dsn);
        soft_dsn[0] = '4';
        dsn = soft_dsn;
        status = DELIVERY_DEFERRED;
    }
    struct recipient_result result = {.index = index, .status = (uint8_t)status, .dsn = (char *)(uintptr_t)dsn,
                                      .reason = (char *)(uintptr_t)reason};
    const char *word = soft ? "SOFTBOUNCE" : words[status];
    if (active->probe != NULL)
        word = delivery_probe_word(status == DELIVERY_SENT, settings.verify_negative_cache);
    str_clear(&line);
    delivery_format_line(&line, active->message->queue_id, &active->envelope.recipients[index], "none", 0, &times,
                         settings.delay_resolution, dsn, word, reason);
    log_info_as(component, "%s", str_text(&line));
    settle_recipient(active, index, &result);
}

/* --- what they mean ------------------------------------------------------------------------- */

/* Marks the recipients with this outcome. True when there is one. */
static bool settle_mark(const struct active *active, enum outcome outcome, uint8_t notify, bool *marked)
{
    bool any = false;
    for (size_t i = 0; i < active->envelope.recipient_count; i++) {
        uint8_t wants = active->envelope.recipients[i].notify;
        marked[i] = !active->recipients[i].done && active->targets[i].outcome == outcome &&
                    (notify == 0 || (wants & notify) != 0);
        any = any || marked[i];
    }
    return any;
}

static int64_t message_age(const struct active *active)
{
    return (wall_us() - active->envelope.arrival_us) / 1000000;
}

static void settle_finish(struct active *active)
{
    struct message *message = active->message;
    if (active_open_recipients(active) == 0 || (message->wishes & WISH_DELETE) != 0) {
        log_info_as("qmgr", "%s: removed", message->queue_id);
        store_remove(message);
        return;
    }
    /* As old as it is, so long it waits: between the two limits. */
    int64_t delay = message_age(active);
    delay = delay < settings.minimal_backoff ? settings.minimal_backoff : delay;
    delay = delay > settings.maximal_backoff ? settings.maximal_backoff : delay;
    bool hold = (message->wishes & WISH_HOLD) != 0;
    message->wishes &= (uint8_t)~WISH_HOLD;
    store_keep(message, hold ? PLACE_HOLD : PLACE_DEFERRED, wall_us() / 1000000 + delay);
}

static void settle_warned(struct active *active, int error)
{
    if (error == 0)
        active->retry_flags |= RETRY_DELAY_WARNED;
    settle_finish(active);
}

static void settle_delayed(struct active *active)
{
    bool *marked = arena_alloc_array(active->arena, active->envelope.recipient_count, sizeof *marked);
    bool due = settings.delay_warning > 0 && message_age(active) >= settings.delay_warning &&
               (active->retry_flags & RETRY_DELAY_WARNED) == 0 && active->envelope.sender[0] != '\0';
    if (due && settle_mark(active, OUTCOME_DEFERRED, 0, marked))
        bounce_send(active, BOUNCE_DELAYED, marked, settle_warned);
    else
        settle_finish(active);
}

static void settle_bounced(struct active *active, int error)
{
    for (size_t i = 0; i < active->envelope.recipient_count; i++) {
        struct target *target = &active->targets[i];
        if (target->outcome != OUTCOME_BOUNCED)
            continue;
        if (error == 0)
            active->recipients[i].done = true;
        else
            target->outcome = OUTCOME_DEFERRED;
    }
    if (error != 0)
        log_warning("%s: the notification could not be stored; trying again later", active->message->queue_id);
    settle_delayed(active);
}

/* Too old, or an admin said so: what is deferred goes back to the sender. */
static void settle_expire(struct active *active)
{
    bool from_bounce = active->envelope.sender[0] == '\0';
    int64_t lifetime = from_bounce ? settings.bounce_lifetime : settings.maximal_lifetime;
    bool forced = (active->message->wishes & WISH_EXPIRE) != 0 || (active->retry_flags & RETRY_EXPIRE) != 0;
    bool any = false;
    if (!forced && message_age(active) < lifetime)
        return;
    for (size_t i = 0; i < active->envelope.recipient_count; i++) {
        if (active->recipients[i].done || active->targets[i].outcome != OUTCOME_DEFERRED)
            continue;
        active->targets[i].outcome = OUTCOME_BOUNCED;
        active->targets[i].changed = any = true;
    }
    active->message->wishes &= (uint8_t)~WISH_EXPIRE;
    if (!any)
        return;
    struct str sender = STR_EMPTY;
    quote_append_address(&sender, active->envelope.sender);
    log_info_as("qmgr", "%s: from=<%s>, status=%s, returned to sender", active->message->queue_id, str_text(&sender),
                forced ? "force-expired" : "expired");
    str_free(&sender);
}

static void settle_failed(struct active *active)
{
    bool *marked = arena_alloc_array(active->arena, active->envelope.recipient_count, sizeof *marked);
    settle_expire(active);
    if (settle_mark(active, OUTCOME_BOUNCED, 0, marked))
        bounce_send(active, BOUNCE_FAILED, marked, settle_bounced);
    else
        settle_delayed(active);
}

/* A success notice that cannot be stored is not worth a second delivery. */
static void settle_delivered(struct active *active, int error UNUSED)
{
    for (size_t i = 0; i < active->envelope.recipient_count; i++)
        if (active->targets[i].outcome == OUTCOME_SENT)
            active->recipients[i].done = true;
    settle_failed(active);
}

void settle_check(struct active *active)
{
    struct message *message = active->message;
    if (!active->routed || active->jobs > 0 || message->state != MESSAGE_ACTIVE)
        return;
    if (active->probe != NULL) {
        probe_settled(active);
        return;
    }
    message->state = MESSAGE_SETTLING;
    if (active->corrupt) {
        store_corrupt(active);
    } else if (message->wishes & WISH_DELETE) {
        settle_finish(active);
    } else if (active->envelope.recipient_count == 1 && active->recipients[0].done) {
        settle_finish(active);
    } else {
        bool *marked = arena_alloc_array(active->arena, active->envelope.recipient_count, sizeof *marked);
        if (settle_mark(active, OUTCOME_SENT, NOTIFY_SUCCESS, marked))
            bounce_send(active, BOUNCE_DELIVERED, marked, settle_delivered);
        else
            settle_failed(active);
    }
}

/* --- wishes -------------------------------------------------------------------------------- */

bool settle_wishes(struct message *message)
{
    bool evacuating = message->active != NULL && message->active->evacuating;
    if (evacuating || (message_is_busy(message) && message->state != MESSAGE_INTAKE))
        return false;
    if (message->wishes & WISH_DELETE) {
        schedule_remove(message);
        store_remove(message);
        return true;
    }
    if ((message->wishes & WISH_HOLD) != 0 && message->where != PLACE_HOLD) {
        message->wishes &= (uint8_t)~WISH_HOLD;
        schedule_remove(message);
        store_keep(message, PLACE_HOLD, 0);
        return true;
    }
    if ((message->wishes & (WISH_EXPIRE | WISH_RETRY)) != 0 && message->state == MESSAGE_WAITING) {
        message->wishes &= (uint8_t)~WISH_RETRY;
        schedule_retry_now(message);
    }
    return false;
}
