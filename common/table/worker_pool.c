/* SPDX-License-Identifier: ISC */
/*
 * worker_pool: who does which job when. Called by mysql.c and ldap.c on the fibers of lookups; needs RIGHT_THREADS. Threads
 * start with the work and end when they have been idle for long. Everything between them and the loop is under one
 * lock; the loop hears of finished jobs through an eventfd. A job whose fiber gave up is dropped while it waits
 * in line, and freed when it comes back from its thread. The last thread of a closed pool frees it.
 */
#include "common/table/worker_pool.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/helper_thread.h"

#define MOST_WORKERS 8

TAILQ_HEAD(job_list, worker_job);

struct worker_pool {
    const struct worker_kind *kind;
    char *key;
    void *shared;
    int64_t idle_seconds;
    unsigned references; /* of tables */
    void *own_connection; /* of a command that has no loop */
    struct event *event;
    LIST_ENTRY(worker_pool) link;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t changed;
    struct job_list waiting, finished;
    unsigned in_line;       /* jobs in waiting */
    unsigned workers, idle; /* threads that take jobs; those of them that have none */
    unsigned threads;       /* and those that are closing their connection */
    bool closed;
    int finished_fd;
};

static LIST_HEAD(, worker_pool) pools = LIST_HEAD_INITIALIZER(pools);

/* --- jobs --------------------------------------------------------------------------- */

void worker_job_complain(struct worker_job *job, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str_vprintf(&job->complaints, fmt, args);
    va_end(args);
    str_append_char(&job->complaints, '\n');
}

void worker_job_free(const struct worker_kind *kind, struct worker_job *job)
{
    str_free(&job->complaints);
    kind->free_job(job);
}

static void log_complaints(struct worker_job *job)
{
    struct slice rest = str_slice(&job->complaints), line;
    while (slice_next_token(&rest, "\n", &line))
        log_warning("%.*s", SLICE_ARGS(line));
    str_clear(&job->complaints);
}

/* --- threads ------------------------------------------------------------------------ */

static void pool_free(struct worker_pool *pool)
{
    pool->kind->free_shared(pool->shared);
    close(pool->finished_fd);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->changed);
    mem_wipe(pool->key, strlen(pool->key));
    free(pool->key);
    free(pool);
}

/* The next job, taken out of the line; NULL: this thread is no longer needed. Called and returns with the lock. */
static struct worker_job *wait_for_job(struct worker_pool *pool)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += pool->idle_seconds;
    int error = 0;
    pool->idle++;
    while (TAILQ_EMPTY(&pool->waiting) && !pool->closed && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&pool->changed, &pool->lock, &end);
    pool->idle--;
    struct worker_job *job = TAILQ_FIRST(&pool->waiting);
    if (job != NULL) {
        TAILQ_REMOVE(&pool->waiting, job, link);
        pool->in_line--;
    }
    return job;
}

/* Hands a job back to the loop. With the lock. */
static void finish_job(struct worker_pool *pool, struct worker_job *job)
{
    uint64_t one = 1;
    if (pool->closed) { /* nobody waits: all tables are gone */
        worker_job_free(pool->kind, job);
        return;
    }
    TAILQ_INSERT_TAIL(&pool->finished, job, link);
    /* A full counter is as good as one more: the loop takes all jobs at once. */
    if (write(pool->finished_fd, &one, sizeof one) != sizeof one && errno != EAGAIN)
        log_panic("cannot signal a finished lookup: %s", strerror(errno));
}

static void *worker_main(void *arg)
{
    struct worker_pool *pool = arg;
    struct worker_job *job;
    void *connection = NULL;
    pthread_mutex_lock(&pool->lock);
    while ((job = wait_for_job(pool)) != NULL) {
        job->running = true;
        pthread_mutex_unlock(&pool->lock);
        pool->kind->run(&connection, pool->shared, job);
        pthread_mutex_lock(&pool->lock);
        finish_job(pool, job);
    }
    pool->workers--; /* another one may start in its place */
    if (connection != NULL) {
        pthread_mutex_unlock(&pool->lock);
        pool->kind->close(connection);
        pthread_mutex_lock(&pool->lock);
    }
    bool is_last = --pool->threads == 0 && pool->closed;
    pthread_mutex_unlock(&pool->lock);
    if (is_last)
        pool_free(pool);
    return NULL;
}

/* --- the loop's side ------------------------------------------------------------------ */

static void on_finished(evutil_socket_t fd, short what UNUSED, void *arg)
{
    struct worker_pool *pool = arg;
    struct job_list done = TAILQ_HEAD_INITIALIZER(done);
    struct worker_job *job;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_panic("cannot read an eventfd: %s", strerror(errno));
    pthread_mutex_lock(&pool->lock);
    TAILQ_CONCAT(&done, &pool->finished, link);
    pthread_mutex_unlock(&pool->lock);
    while ((job = TAILQ_FIRST(&done)) != NULL) {
        TAILQ_REMOVE(&done, job, link);
        log_complaints(job);
        job->finished = true;
        if (job->abandoned)
            worker_job_free(pool->kind, job);
        else
            fiber_cond_signal(&job->done);
    }
}

struct worker_pool *worker_pool_find(const struct worker_kind *kind, const char *key)
{
    struct worker_pool *pool;
    LIST_FOREACH (pool, &pools, link) {
        if (pool->kind == kind && strcmp(pool->key, key) == 0) {
            pool->references++;
            return pool;
        }
    }
    return NULL;
}

struct worker_pool *worker_pool_new(const struct worker_kind *kind, const char *key, void *shared, int64_t idle_seconds)
{
    struct worker_pool *pool = mem_alloc(sizeof *pool);
    pthread_condattr_t attributes;
    *pool = (struct worker_pool){.kind = kind, .key = mem_strdup(key), .shared = shared, .idle_seconds = idle_seconds,
                                 .references = 1, .finished_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (pool->finished_fd < 0)
        log_fatal("eventfd: %s", strerror(errno));
    TAILQ_INIT(&pool->waiting);
    TAILQ_INIT(&pool->finished);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    LIST_INSERT_HEAD(&pools, pool, link);
    return pool;
}

void worker_pool_close(struct worker_pool *pool)
{
    if (--pool->references > 0)
        return;
    LIST_REMOVE(pool, link);
    if (pool->own_connection != NULL)
        pool->kind->close(pool->own_connection);
    if (pool->event != NULL)
        event_free(pool->event);
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    struct worker_job *job;
    while ((job = TAILQ_FIRST(&pool->finished)) != NULL) { /* their fibers gave up before */
        TAILQ_REMOVE(&pool->finished, job, link);
        worker_job_free(pool->kind, job);
    }
    bool is_last = pool->threads == 0;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    if (is_last)
        pool_free(pool);
}

/* With the lock. False: there is no thread at all, and none can be started. */
static bool wake_worker(struct worker_pool *pool)
{
    if (pool->in_line <= pool->idle) {
        pthread_cond_signal(&pool->changed);
        return true;
    }
    if (pool->workers >= MOST_WORKERS)
        return true; /* one of them will come */
    pool->workers++;
    pool->threads++;
    if (helper_thread_start(worker_main, pool))
        return true;
    pool->threads--;
    return --pool->workers > 0;
}

static void leave_line(struct worker_pool *pool, struct worker_job *job)
{
    TAILQ_REMOVE(&pool->waiting, job, link);
    pool->in_line--;
}

static bool submit(struct worker_pool *pool, struct worker_job *job)
{
    if (pool->event == NULL) {
        pool->event = event_new(fiber_loop_base(), pool->finished_fd, EV_READ | EV_PERSIST, on_finished, pool);
        if (pool->event == NULL || event_add(pool->event, NULL) < 0)
            log_fatal("cannot watch an eventfd");
    }
    pthread_mutex_lock(&pool->lock);
    TAILQ_INSERT_TAIL(&pool->waiting, job, link);
    pool->in_line++;
    bool ok = wake_worker(pool);
    if (!ok)
        leave_line(pool, job);
    pthread_mutex_unlock(&pool->lock);
    return ok;
}

/* The fiber gives up. */
static void abandon(struct worker_pool *pool, struct worker_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool in_line = !job->running;
    if (in_line)
        leave_line(pool, job);
    pthread_mutex_unlock(&pool->lock);
    job->abandoned = true; /* read on the loop's thread only */
    if (in_line)
        worker_job_free(pool->kind, job);
}

bool worker_pool_run(struct worker_pool *pool, struct worker_job *job, int64_t deadline)
{
    if (fiber_self() == NULL) {
        pool->kind->run(&pool->own_connection, pool->shared, job);
        log_complaints(job);
        return true;
    }
    if (!submit(pool, job)) {
        worker_job_free(pool->kind, job);
        return false;
    }
    while (!job->finished) {
        if (fiber_cond_wait(&job->done, deadline) != WAIT_OK && !job->finished) {
            abandon(pool, job);
            return false;
        }
    }
    return true;
}
