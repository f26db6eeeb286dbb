/* SPDX-License-Identifier: ISC */
/*
 * schedule: which message is being worked on (at most qmgr_message_active_limit), which has just arrived, and
 * which waits until when (a heap by retry time). New mail comes before old; deferred mail is read from
 * disk a few files at a time, so that a flush of 100,000 messages does not stop the loop.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/quote.h"
#include "queue/queue.h"

#define LOADS_AT_ONCE 32
#define TICK_MS 1000
#define NOT_IN_HEAP UINT32_MAX

static struct {
    struct message **entries;
    uint32_t count, size;
} heap;
static struct active_list fresh = TAILQ_HEAD_INITIALIZER(fresh);
static size_t active_count;
static struct fiber_cond changed;

size_t schedule_active_count(void) { return active_count; }

/* --- the heap ------------------------------------------------------------------------- */

static void heap_put(uint32_t at, struct message *message)
{
    heap.entries[at] = message;
    message->heap_index = at;
}

static void heap_up(uint32_t at)
{
    struct message *message = heap.entries[at];
    while (at > 0 && heap.entries[(at - 1) / 2]->due > message->due) {
        heap_put(at, heap.entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(at, message);
}

static void heap_down(uint32_t at)
{
    struct message *message = heap.entries[at];
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= heap.count)
            break;
        if (child + 1 < heap.count && heap.entries[child + 1]->due < heap.entries[child]->due)
            child++;
        if (heap.entries[child]->due >= message->due)
            break;
        heap_put(at, heap.entries[child]);
        at = child;
    }
    heap_put(at, message);
}

static void heap_add(struct message *message)
{
    if (heap.count == heap.size) {
        heap.size = heap.size == 0 ? 256 : heap.size * 2;
        heap.entries = mem_realloc_array(heap.entries, heap.size, sizeof *heap.entries);
    }
    heap.entries[heap.count] = message;
    heap_up(heap.count++);
}

static void heap_remove(struct message *message)
{
    uint32_t at = message->heap_index;
    struct message *last = heap.entries[--heap.count];
    if (last != message) {
        heap_put(at, last);
        heap_up(at);
        heap_down(last->heap_index);
    }
    message->heap_index = NOT_IN_HEAP;
}

/* --- becoming active ------------------------------------------------------------------------ */

static void schedule_activate(struct active *active)
{
    static struct str sender;
    active->message->state = MESSAGE_ACTIVE;
    active->active_us = wall_us();
    active->routed = false;
    active->route_losses = 0;
    active->counted = true;
    active_count++;
    str_clear(&sender);
    quote_append_address(&sender, active->envelope.sender);
    log_info_as("qmgr", "%s: from=<%s>, size=%" PRIu64 ", nrcpt=%zu (queue active)", active->message->queue_id,
                str_text(&sender), active->content_size, active_open_recipients(active));
    route_message(active);
}

static void schedule_activate_fresh(void)
{
    struct active *active;
    while (active_count < settings.active_limit && (active = TAILQ_FIRST(&fresh)) != NULL) {
        TAILQ_REMOVE(&fresh, active, link);
        active->message->state = MESSAGE_INTAKE;
        if (!settle_wishes(active->message))
            schedule_activate(active);
    }
}

void schedule_arrived(struct active *active)
{
    struct message *message = active->message;
    if (active->envelope.flags & ENVELOPE_HOLD)
        message->wishes |= WISH_HOLD;
    if (message->wishes != 0 && settle_wishes(message))
        return;
    message->state = MESSAGE_FRESH;
    TAILQ_INSERT_TAIL(&fresh, active, link);
    schedule_activate_fresh();
}

void schedule_left_active(void)
{
    active_count--;
    if (active_count + 1 >= settings.active_limit)
        fiber_cond_signal(&changed);
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* The wall clock may be set, and the machine may sleep: neither changes how long a message waits. */
static int64_t boot_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void schedule_wait(struct message *message, int64_t retry_at)
{
    int64_t wait = retry_at - wall_us() / 1000000;
    message->state = MESSAGE_WAITING;
    message->due = wait > 0 ? (uint32_t)(boot_ms() / 1000 + wait) : 0;
    heap_add(message);
    if (message->heap_index == 0)
        fiber_cond_signal(&changed);
}

void schedule_hold(struct message *message)
{
    message->state = MESSAGE_HELD;
}

void schedule_remove(struct message *message)
{
    if (message->state == MESSAGE_WAITING) {
        heap_remove(message);
    } else if (message->state == MESSAGE_FRESH) {
        TAILQ_REMOVE(&fresh, message->active, link);
        message->state = MESSAGE_INTAKE;
    }
}

void schedule_retry_now(struct message *message)
{
    if (message->state != MESSAGE_WAITING)
        return;
    heap_remove(message);
    schedule_wait(message, 0);
}

void schedule_flush(void)
{
    for (uint32_t i = 0; i < heap.count; i++)
        heap.entries[i]->due = 0; /* all alike: still a heap */
    transport_flush();
    fiber_cond_signal(&changed);
}

static bool schedule_take_due(void)
{
    if (heap.count == 0 || heap.entries[0]->due > boot_ms() / 1000 || active_count >= settings.active_limit)
        return false;
    struct message *message = heap.entries[0];
    heap_remove(message);
    message->state = MESSAGE_INTAKE; /* in no list: an admin's wish that could not be done earlier goes first */
    if (!settle_wishes(message) && active_load(message))
        schedule_activate(message->active);
    return true;
}

static int64_t schedule_next_deadline(void)
{
    if (heap.count == 0 || active_count >= settings.active_limit)
        return deadline_in_ms(TICK_MS);
    int64_t wait = (int64_t)heap.entries[0]->due * 1000 - boot_ms();
    return deadline_in_ms(wait < 0 ? 0 : wait > TICK_MS ? TICK_MS : wait);
}

static void schedule_fiber(void *arg UNUSED)
{
    for (;;) {
        int loads = 0;
        schedule_activate_fresh();
        while (loads < LOADS_AT_ONCE && !role_is_draining() && schedule_take_due())
            loads++;
        enum wait_status status;
        if (loads == LOADS_AT_ONCE)
            status = fiber_yield();
        else
            status = fiber_cond_wait(&changed, schedule_next_deadline());
        if (status == WAIT_CANCELLED)
            return;
        transport_tick();
    }
}

void schedule_start(void)
{
    fiber_spawn("schedule", schedule_fiber, NULL);
}
