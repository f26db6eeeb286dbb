/* SPDX-License-Identifier: ISC */
/*
 * fiber: scheduling on one libevent loop. Who is ready, who waits for what, and until when.
 * How stacks are made and switched is fiber_stack.c's business alone.
 *
 * A wait leaves its timer armed when it ends early and re-arms only for an earlier deadline, so the
 * common case (data before the deadline) touches the timer heap about once per deadline, not once per wait.
 */
#include "common/base/fiber.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/fiber_stack.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define MOST_BUSY_TURNS 8

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_WAITING };

struct fiber {
    struct fiber_stack stack;
    enum fiber_state state;
    bool cancelled;
    bool timer_armed;
    enum wait_status woken_by;
    int64_t deadline;   /* of the present wait */
    int64_t timer_at;   /* when the armed timer fires */
    struct event timer;
    struct fiber_cond *cond; /* the condition it waits on */
    struct fiber *cond_next;
    struct fiber *cond_prev;
    TAILQ_ENTRY(fiber) ready_link;
    void (*run)(void *arg);
    void *arg;
    void *local;
    char name[32];
};

TAILQ_HEAD(fiber_ready_queue, fiber);
TAILQ_HEAD(fiber_hook_queue, fiber_turn_hook);

static struct {
    struct event_base *base;
    struct fiber *running;
    struct fiber_ready_queue ready;
    struct fiber_hook_queue hooks;
    size_t count;
    size_t stack_size;
    bool stopping;
} loop = {.stack_size = 128 * 1024};

/* --- the loop ------------------------------------------------------------- */

void fiber_loop_init(void)
{
    if (loop.base != NULL)
        log_panic("fiber: the loop is already running");
    struct event_config *config = event_config_new();
    if (config == NULL)
        mem_exhausted(0);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
    /* Without EV_FEATURE_EARLY_CLOSE an end of file that arrives with the last bytes could be slept through. */
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
    loop.base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop.base == NULL)
        log_fatal("cannot start the event loop: %s", strerror(errno));
    TAILQ_INIT(&loop.ready);
    TAILQ_INIT(&loop.hooks);
    loop.stopping = false;
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error return, not a death */
    fiber_stack_install_overflow_handler();
    fiber_stack_watch();
}

struct event_base *fiber_loop_base(void)
{
    return loop.base;
}

void fiber_set_stack_size(size_t bytes)
{
    loop.stack_size = bytes;
}

void fiber_loop_stop(void)
{
    loop.stopping = true;
}

static void fiber_mark_ready(struct fiber *fiber)
{
    fiber->state = FIBER_READY;
    TAILQ_INSERT_TAIL(&loop.ready, fiber, ready_link);
}

static void fiber_release(struct fiber *fiber)
{
    event_del(&fiber->timer);
    fiber_stack_release(&fiber->stack);
    free(fiber);
    loop.count--;
}

static void fiber_resume(struct fiber *fiber)
{
    fiber->state = FIBER_RUNNING;
    loop.running = fiber;
    fiber_stack_enter(&fiber->stack, fiber->name);
    loop.running = NULL;
    if (fiber->stack.finished)
        fiber_release(fiber);
}

/* Runs the fibers that are ready now; those they wake run on the next turn. */
static void fiber_run_ready(void)
{
    struct fiber_ready_queue turn = TAILQ_HEAD_INITIALIZER(turn);
    TAILQ_CONCAT(&turn, &loop.ready, ready_link);
    struct fiber *fiber;
    while ((fiber = TAILQ_FIRST(&turn)) != NULL) {
        TAILQ_REMOVE(&turn, fiber, ready_link);
        fiber_resume(fiber);
    }
}

static void fiber_run_hooks(void)
{
    struct fiber_turn_hook *hook;
    while ((hook = TAILQ_FIRST(&loop.hooks)) != NULL) {
        TAILQ_REMOVE(&loop.hooks, hook, link);
        hook->queued = false;
        hook->run(hook);
    }
}

void fiber_loop_run(void)
{
    int busy_turns = 0;
    loop.stopping = false;
    while (!loop.stopping) {
        fiber_run_ready();
        /* Put-off work waits for a quiet moment, so that more of it shares a system call, but not for long. */
        if (TAILQ_EMPTY(&loop.ready) || ++busy_turns >= MOST_BUSY_TURNS) {
            fiber_run_hooks();
            busy_turns = 0;
        }
        int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
        if (!TAILQ_EMPTY(&loop.ready) || loop.stopping)
            flags |= EVLOOP_NONBLOCK;
        if (event_base_loop(loop.base, flags) < 0)
            log_fatal("the event loop failed: %s", strerror(errno));
    }
    fiber_run_hooks();
}

void fiber_at_turn_end(struct fiber_turn_hook *hook)
{
    if (hook->queued)
        return;
    if (loop.base == NULL) { /* no loop: there is no later */
        hook->run(hook);
        return;
    }
    hook->queued = true;
    TAILQ_INSERT_TAIL(&loop.hooks, hook, link);
}

void fiber_turn_cancel(struct fiber_turn_hook *hook)
{
    if (hook->queued)
        TAILQ_REMOVE(&loop.hooks, hook, link);
    hook->queued = false;
}

/* --- a fiber's life --------------------------------------------------------- */

static void fiber_on_timer(evutil_socket_t fd, short what, void *arg);

static void fiber_main(void *arg)
{
    struct fiber *fiber = arg;
    fiber->run(fiber->arg);
}

struct fiber *fiber_spawn(const char *name, void (*run)(void *arg), void *arg)
{
    if (loop.base == NULL)
        log_panic("fiber %s: there is no loop to run on", name);
    struct fiber *fiber = mem_alloc(sizeof *fiber);
    snprintf(fiber->name, sizeof fiber->name, "%s", name);
    fiber->run = run;
    fiber->arg = arg;
    evtimer_assign(&fiber->timer, loop.base, fiber_on_timer, fiber);
    fiber_stack_prepare(&fiber->stack, loop.stack_size, fiber_main, fiber);
    loop.count++;
    fiber_mark_ready(fiber);
    return fiber;
}

struct fiber *fiber_self(void)
{
    return loop.running;
}

const char *fiber_name(const struct fiber *fiber)
{
    return fiber != NULL ? fiber->name : "main";
}

static void *local_outside; /* of fibers */

void *fiber_local(void)
{
    return loop.running != NULL ? loop.running->local : local_outside;
}

void fiber_set_local(void *value)
{
    if (loop.running != NULL)
        loop.running->local = value;
    else
        local_outside = value;
}

void fiber_set_name(const char *name)
{
    if (loop.running != NULL)
        snprintf(loop.running->name, sizeof loop.running->name, "%s", name);
}

size_t fiber_count(void)
{
    return loop.count;
}

static void fiber_cond_remove(struct fiber *fiber)
{
    struct fiber_cond *cond = fiber->cond;
    if (cond == NULL)
        return;
    if (fiber->cond_prev != NULL)
        fiber->cond_prev->cond_next = fiber->cond_next;
    else
        cond->first = fiber->cond_next;
    if (fiber->cond_next != NULL)
        fiber->cond_next->cond_prev = fiber->cond_prev;
    else
        cond->last = fiber->cond_prev;
    fiber->cond = NULL;
}

static void fiber_wake(struct fiber *fiber, enum wait_status reason)
{
    if (fiber->state != FIBER_WAITING)
        return;
    fiber_cond_remove(fiber);
    fiber->woken_by = reason;
    fiber_mark_ready(fiber);
}

void fiber_trim_stack(void)
{
    if (loop.running != NULL)
        fiber_stack_trim(&loop.running->stack);
}

void fiber_cancel(struct fiber *fiber)
{
    fiber->cancelled = true;
    fiber_wake(fiber, WAIT_CANCELLED);
}

/* --- time ------------------------------------------------------------------------ */

static void fiber_arm_timer(struct fiber *fiber, int64_t now)
{
    if (fiber->deadline == CLOCK_NEVER || (fiber->timer_armed && fiber->timer_at <= fiber->deadline))
        return;
    int64_t delay = fiber->deadline > now ? fiber->deadline - now : 0;
    struct timeval tv = {delay / 1000, delay % 1000 * 1000};
    evtimer_add(&fiber->timer, &tv);
    fiber->timer_armed = true;
    fiber->timer_at = now + delay;
}

static void fiber_on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct fiber *fiber = arg;
    fiber->timer_armed = false;
    if (fiber->state != FIBER_WAITING)
        return;
    int64_t now = clock_ms();
    if (now >= fiber->deadline)
        fiber_wake(fiber, WAIT_TIMEOUT);
    else
        fiber_arm_timer(fiber, now);
}

/* Gives the processor away until woken or the deadline passes. */
static enum wait_status fiber_suspend(int64_t deadline)
{
    struct fiber *fiber = loop.running;
    if (fiber->cancelled) {
        fiber_cond_remove(fiber);
        return WAIT_CANCELLED;
    }
    fiber->state = FIBER_WAITING;
    fiber->deadline = deadline;
    fiber_arm_timer(fiber, deadline == CLOCK_NEVER ? 0 : clock_ms());
    fiber_stack_leave(&fiber->stack);
    return fiber->woken_by;
}

enum wait_status fiber_yield(void)
{
    struct fiber *fiber = loop.running;
    if (fiber == NULL)
        return WAIT_OK;
    fiber->woken_by = WAIT_OK;
    fiber_mark_ready(fiber);
    fiber_stack_leave(&fiber->stack);
    return fiber->cancelled ? WAIT_CANCELLED : WAIT_OK;
}

static enum wait_status fiber_block_until(int64_t deadline)
{
    int64_t delay = deadline - clock_ms();
    if (delay > 0) {
        struct timespec pause = {delay / 1000, delay % 1000 * 1000000};
        while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
            continue;
    }
    return WAIT_OK;
}

enum wait_status fiber_sleep_until(int64_t deadline)
{
    if (loop.running == NULL)
        return fiber_block_until(deadline);
    enum wait_status status = fiber_suspend(deadline);
    return status == WAIT_TIMEOUT ? WAIT_OK : status;
}

/* --- waiting for a descriptor -------------------------------------------------- */

/* An edge is told once: wake whoever waits for it, or remember it for the next wait. */
static void fiber_fd_ready(struct fiber *waiter, bool *remembered)
{
    if (waiter != NULL && waiter->state == FIBER_WAITING)
        fiber_wake(waiter, WAIT_OK);
    else
        *remembered = true;
}

static void fiber_on_event(evutil_socket_t fd UNUSED, short what, void *arg)
{
    struct fiber_fd *handle = arg;
    if (what & EV_CLOSED)
        handle->peer_closed = true;
    if (what & (EV_READ | EV_CLOSED))
        fiber_fd_ready(handle->reader, &handle->read_ready);
    if (what & EV_WRITE)
        fiber_fd_ready(handle->writer, &handle->write_ready);
}

void fiber_fd_init(struct fiber_fd *handle, int fd)
{
    *handle = (struct fiber_fd){.fd = fd};
}

int fiber_fd_detach(struct fiber_fd *handle)
{
    if (handle->reader != NULL || handle->writer != NULL)
        log_panic("fiber %s: closing a descriptor that %s waits for", fiber_name(loop.running),
                  fiber_name(handle->reader != NULL ? handle->reader : handle->writer));
    if (handle->event != NULL)
        event_free(handle->event);
    handle->event = NULL;
    int fd = handle->fd;
    handle->fd = -1;
    return fd;
}

void fiber_fd_close(struct fiber_fd *handle)
{
    int fd = fiber_fd_detach(handle);
    if (fd >= 0)
        close(fd);
}

static void fiber_fd_register(struct fiber_fd *handle)
{
    short what = EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST;
    handle->event = event_new(loop.base, handle->fd, what, fiber_on_event, handle);
    if (handle->event == NULL || event_add(handle->event, NULL) < 0)
        log_fatal("cannot watch descriptor %d: %s", handle->fd, strerror(errno));
}

static enum wait_status fiber_block_on_fd(const struct fiber_fd *handle, int what, int64_t deadline)
{
    struct pollfd poller = {.fd = handle->fd, .events = what == FIBER_READ ? POLLIN : POLLOUT};
    for (;;) {
        int64_t left = deadline == CLOCK_NEVER ? -1 : deadline - clock_ms();
        if (deadline != CLOCK_NEVER && left < 0)
            left = 0;
        int ready = poll(&poller, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (ready > 0)
            return WAIT_OK;
        if (ready == 0)
            return WAIT_TIMEOUT;
        if (errno != EINTR)
            log_fatal("poll: %s", strerror(errno));
    }
}

enum wait_status fiber_wait_fd(struct fiber_fd *handle, int what, int64_t deadline)
{
    if (loop.running == NULL)
        return fiber_block_on_fd(handle, what, deadline);
    bool *ready = what == FIBER_READ ? &handle->read_ready : &handle->write_ready;
    struct fiber **waiter = what == FIBER_READ ? &handle->reader : &handle->writer;
    if (handle->event == NULL)
        fiber_fd_register(handle); /* the first report of an edge-triggered event is never lost */
    if (*ready && !loop.running->cancelled) {
        *ready = false;
        return WAIT_OK;
    }
    if (*waiter != NULL)
        log_panic("fiber %s: %s waits for this descriptor already", fiber_name(loop.running),
                  fiber_name(*waiter));
    *waiter = loop.running;
    enum wait_status status = fiber_suspend(deadline);
    *waiter = NULL;
    return status;
}

/* --- waiting for each other ------------------------------------------------------ */

enum wait_status fiber_cond_wait(struct fiber_cond *cond, int64_t deadline)
{
    struct fiber *fiber = loop.running;
    if (fiber == NULL)
        log_panic("fiber: a condition can be waited for only inside a fiber");
    fiber->cond = cond;
    fiber->cond_next = NULL;
    fiber->cond_prev = cond->last;
    if (cond->last != NULL)
        cond->last->cond_next = fiber;
    else
        cond->first = fiber;
    cond->last = fiber;
    return fiber_suspend(deadline);
}

void fiber_cond_signal(struct fiber_cond *cond)
{
    if (cond->first != NULL)
        fiber_wake(cond->first, WAIT_OK);
}

void fiber_cond_broadcast(struct fiber_cond *cond)
{
    while (cond->first != NULL)
        fiber_wake(cond->first, WAIT_OK);
}
