/* SPDX-License-Identifier: ISC */
/*
 * Databases whose libraries block (mysql:, ldap:): a few helper threads per server, each with one connection, for any number
 * of fibers. A lookup is a job; jobs wait in line for a thread while the event loop goes on. Outside a fiber
 * (postmap) the caller does the job itself.
 */
#ifndef POSTHORN_TABLE_WORKER_POOL_H
#define POSTHORN_TABLE_WORKER_POOL_H

#include <sys/queue.h>

#include "common/base/fiber.h"
#include "common/base/str.h"

/* What a type's own job begins with. */
struct worker_job {
    struct str complaints; /* lines for the log, each with its newline; written by run() */
    /* the pool's own: */
    TAILQ_ENTRY(worker_job) link;
    struct fiber_cond done;
    bool running, finished, abandoned;
};

/* Adds one warning to the job's complaints: threads do not log. */
void worker_job_complain(struct worker_job *job, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct worker_kind {
    /*
     * On a thread: does the job, with the thread's connection, which it makes at need and may replace (*connection, NULL
     * at first). Must end by itself within bounded time. Shares nothing but `shared` with other threads.
     */
    void (*run)(void **connection, void *shared, struct worker_job *job);
    void (*close)(void *connection);         /* on the same thread; never NULL */
    void (*free_job)(struct worker_job *job); /* on any thread; complaints are freed by the pool */
    void (*free_shared)(void *shared);
};

struct worker_pool;

/*
 * One more reference to the pool of this kind and key; NULL when there is none yet. The key holds everything that makes two
 * servers' connections differ (and their passwords: it is wiped at the end).
 */
struct worker_pool *worker_pool_find(const struct worker_kind *kind, const char *key);
/* A new one, with one reference. `shared` moves to the pool; idle connections are closed after idle_seconds. */
struct worker_pool *worker_pool_new(const struct worker_kind *kind, const char *key, void *shared, int64_t idle_seconds);
void worker_pool_close(struct worker_pool *pool);

/*
 * True: the job is done; its complaints have been logged, and the caller frees it with worker_job_free(). False: no thread
 * was free or the answer did not come before the deadline; the job is no longer the caller's.
 */
bool worker_pool_run(struct worker_pool *pool, struct worker_job *job, int64_t deadline) MUST_CHECK;
void worker_job_free(const struct worker_kind *kind, struct worker_job *job);

#endif
