/* SPDX-License-Identifier: ISC */
/*
 * Fibers: straight-line code, one small stack each, many in one thread. A fiber runs until it waits;
 * every wait takes a deadline (milliseconds of clock_ms(), or CLOCK_NEVER) and may be cancelled.
 *
 * Outside a fiber (unit tests, fuzzers, commands) fiber_wait_fd() and fiber_sleep_until() simply
 * block, so the same code runs without an event loop.
 */
#ifndef POSTHORN_BASE_FIBER_H
#define POSTHORN_BASE_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/status.h"

struct fiber;
struct event_base;

/* --- the loop ------------------------------------------------------------- */

/* Prepares the event loop and the overflow handler. Once per process, after any fork. */
void fiber_loop_init(void);
/* The libevent base, for libraries that bring their own events. */
struct event_base *fiber_loop_base(void);
/* Runs fibers and events until fiber_loop_stop(), then returns; fibers that still wait stay as they are. */
void fiber_loop_run(void);
void fiber_loop_stop(void);
/* The usable stack of fibers spawned from now on, in bytes; the default is 128 KB. */
void fiber_set_stack_size(size_t bytes);

/*
 * Work put off to the end of a turn: after all ready fibers ran and before the loop waits.
 * IPC channels and the log flush here, so what many fibers say leaves in one system call.
 */
struct fiber_turn_hook {
    void (*run)(struct fiber_turn_hook *hook);
    bool queued;
    TAILQ_ENTRY(fiber_turn_hook) link;
};
void fiber_at_turn_end(struct fiber_turn_hook *hook); /* no effect while it is queued */
void fiber_turn_cancel(struct fiber_turn_hook *hook);

/* --- a fiber's life --------------------------------------------------------- */

/* Starts a fiber that runs on the next turn. The name (copied, 31 bytes) is for logs and aborts. */
struct fiber *fiber_spawn(const char *name, void (*run)(void *arg), void *arg);
/* The running fiber, or NULL outside of one. */
struct fiber *fiber_self(void);
const char *fiber_name(const struct fiber *fiber);
/* Renames the running fiber. */
void fiber_set_name(const char *name);
/* One pointer of the running fiber's own, NULL at first: what its callees want to know without being told. */
void *fiber_local(void);
void fiber_set_local(void *value);
/* Fibers alive now. */
size_t fiber_count(void);
/* Asks a fiber to end: its present wait, and every later one, returns WAIT_CANCELLED. */
void fiber_cancel(struct fiber *fiber);
/* Gives back the memory of the running fiber's stack that deep calls used and that it does not need now. Costs a system
 * call: for fibers that will wait long. No effect outside of a fiber. */
void fiber_trim_stack(void);
/* Lets all other ready fibers run once. */
enum wait_status fiber_yield(void);
enum wait_status fiber_sleep_until(int64_t deadline) MUST_CHECK;

/* --- waiting for a descriptor -------------------------------------------------- */

enum { FIBER_READ = 1, FIBER_WRITE = 2 };

/*
 * A descriptor known to the loop. One fiber may wait for reading and one for writing at a time.
 * Edge-triggered: try the system call first and wait only after EAGAIN.
 */
struct fiber_fd {
    int fd;
    bool read_ready;  /* an event came that no wait has consumed */
    bool write_ready;
    bool peer_closed; /* the peer shut its side down: reading will not block */
    struct fiber *reader;
    struct fiber *writer;
    struct event *event; /* NULL until the first wait */
};

void fiber_fd_init(struct fiber_fd *handle, int fd); /* fd is non-blocking; ownership moves here */
void fiber_fd_close(struct fiber_fd *handle);        /* closes fd; nobody may be waiting */
int fiber_fd_detach(struct fiber_fd *handle);        /* gives fd back without closing it */
enum wait_status fiber_wait_fd(struct fiber_fd *handle, int what, int64_t deadline) MUST_CHECK;

/* --- waiting for each other ------------------------------------------------------ */

/* A place where fibers wait until somebody says that something changed. Zero-initialised is ready. */
struct fiber_cond {
    struct fiber *first;
    struct fiber *last;
};
enum wait_status fiber_cond_wait(struct fiber_cond *cond, int64_t deadline) MUST_CHECK;
void fiber_cond_signal(struct fiber_cond *cond);    /* wakes the one that has waited longest */
void fiber_cond_broadcast(struct fiber_cond *cond); /* wakes all */

#endif
