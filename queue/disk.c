/* SPDX-License-Identifier: ISC */
/*
 * disk: the queue's two threads. One writes and syncs the journal, the other messages' own files, so that a
 * wave of deferrals does not delay a client's 250. The loop plans a batch, hands it over, goes on, and is
 * told through an eventfd. What arrives meanwhile is the next batch: group commit without a timer.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/log.h"
#include "queue/queue.h"

#define WRITE_WITHIN_MS 20   /* what nobody waits for: after that a crash of this process does not matter */
#define SYNC_WITHIN_MS 1000  /* and after that a crash of the machine does not */
#define MOST_USED_SEGMENTS 16
#define EVACUATE_AT_ONCE 256
#define EVACUATE_RETRY_MS 5000 /* after a failure: each would be a line in the log */

struct worker {
    const char *name;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void *job; /* set by the loop, cleared by the thread when it takes it */
    void (*run)(void *job);
    void (*finish)(void *job); /* on the loop's thread */
    void *current;
    struct fiber_fd done;
};

struct spool spool;
static struct worker journal_worker, file_worker;
static struct file_op_list running_ops;
static int64_t evacuate_after; /* clock_ms() */
static struct fiber_cond dirty;
static struct fiber_cond finished;
static void disk_hook(struct fiber_turn_hook *hook);
static struct fiber_turn_hook kick = {.run = disk_hook};

/* --- a thread that does one job at a time ------------------------------------------- */

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    const uint64_t one = 1;
    for (;;) {
        pthread_mutex_lock(&worker->lock);
        while (worker->job == NULL)
            pthread_cond_wait(&worker->changed, &worker->lock);
        void *job = worker->job;
        worker->job = NULL;
        pthread_mutex_unlock(&worker->lock);
        worker->run(job);
        if (write(worker->done.fd, &one, sizeof one) != (ssize_t)sizeof one)
            log_panic("%s: cannot signal: %s", worker->name, strerror(errno));
    }
    return NULL;
}

static void worker_submit(struct worker *worker, void *job)
{
    worker->current = job;
    pthread_mutex_lock(&worker->lock);
    worker->job = job;
    pthread_mutex_unlock(&worker->lock);
    pthread_cond_signal(&worker->changed);
}

static void worker_fiber(void *arg)
{
    struct worker *worker = arg;
    uint64_t count;
    for (;;) {
        if (read(worker->done.fd, &count, sizeof count) == (ssize_t)sizeof count) {
            void *job = worker->current;
            worker->current = NULL;
            worker->finish(job);
            disk_kick();
            fiber_cond_broadcast(&finished);
        } else if (fiber_wait_fd(&worker->done, FIBER_READ, CLOCK_NEVER) == WAIT_CANCELLED) {
            return;
        }
    }
}

static void worker_start(struct worker *worker, const char *name, void (*run)(void *), void (*finish)(void *))
{
    sigset_t all, before;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        log_fatal("eventfd: %s", strerror(errno));
    worker->name = name;
    worker->run = run;
    worker->finish = finish;
    fiber_fd_init(&worker->done, fd);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->changed, NULL);
    sigfillset(&all); /* signals belong to the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        log_fatal("cannot start the %s thread: %s", name, strerror(error));
    fiber_spawn(name, worker_fiber, worker);
}

/* --- what they do ----------------------------------------------------------------------- */

static void run_journal(void *job) { journal_batch_run(job); }
static void finish_journal(void *job) { journal_finish(spool.journal, job); }
static void run_files(void *job) { file_ops_run(spool.directory, job); }
static void finish_files(void *job) { spool_finish_file_ops(&spool, job); }

static void disk_write_journal(bool sync)
{
    struct journal_batch *batch = journal_take(spool.journal, sync);
    if (batch != NULL)
        worker_submit(&journal_worker, batch);
}

/* A message that has been in the journal for long keeps all later segments from being used again. */
static void disk_evacuate(void)
{
    struct segment *oldest = journal_oldest(spool.journal);
    if (journal_used_count(spool.journal) <= MOST_USED_SEGMENTS || oldest == NULL || clock_ms() < evacuate_after)
        return;
    struct journal_place *place, *next;
    int count = 0;
    for (place = TAILQ_FIRST(&oldest->live); place != NULL && count < EVACUATE_AT_ONCE; place = next, count++) {
        next = TAILQ_NEXT(place, link);
        if (!place->ending)
            store_evacuate((struct active *)((char *)place - offsetof(struct active, place)));
    }
}

void disk_put_off_evacuation(void)
{
    evacuate_after = deadline_in_ms(EVACUATE_RETRY_MS);
}

static void disk_hook(struct fiber_turn_hook *hook UNUSED)
{
    spool_upkeep(&spool);
    disk_evacuate();
    if (journal_has_urgent(spool.journal))
        disk_write_journal(true);
    if (spool_take_file_ops(&spool, &running_ops))
        worker_submit(&file_worker, &running_ops);
    if (journal_is_dirty(spool.journal))
        fiber_cond_signal(&dirty);
}

void disk_kick(void)
{
    fiber_at_turn_end(&kick);
}

/* Writes and syncs what nobody waits for. */
static void disk_timer_fiber(void *arg UNUSED)
{
    int64_t dirty_since = 0;
    for (;;) {
        if (!journal_is_dirty(spool.journal)) {
            dirty_since = 0;
            if (fiber_cond_wait(&dirty, CLOCK_NEVER) == WAIT_CANCELLED)
                return;
        }
        if (fiber_sleep_until(deadline_in_ms(WRITE_WITHIN_MS)) != WAIT_OK)
            return;
        int64_t now = clock_ms();
        if (dirty_since == 0)
            dirty_since = now;
        bool sync = now - dirty_since >= SYNC_WITHIN_MS;
        if (sync)
            dirty_since = now;
        if (sync || journal_has_waiting(spool.journal))
            disk_write_journal(sync);
        if (journal_is_starved(spool.journal)) /* it is time to try for a segment again */
            disk_kick();
    }
}

void disk_start(void)
{
    worker_start(&journal_worker, "journal", run_journal, finish_journal);
    worker_start(&file_worker, "files", run_files, finish_files);
    fiber_spawn("disk-timer", disk_timer_fiber, NULL);
    disk_kick();
}

void disk_wait_files(int64_t deadline)
{
    while ((spool.files_in_flight || !TAILQ_EMPTY(&spool.file_ops)) && clock_ms() < deadline)
        if (fiber_cond_wait(&finished, deadline) == WAIT_CANCELLED)
            return;
}

void disk_drain(void)
{
    while (journal_is_dirty(spool.journal) || spool.files_in_flight || !TAILQ_EMPTY(&spool.file_ops)) {
        disk_write_journal(true);
        disk_kick();
        if (fiber_cond_wait(&finished, deadline_in_ms(WRITE_WITHIN_MS)) == WAIT_CANCELLED)
            break;
    }
    fiber_turn_cancel(&kick); /* the spool is closed next */
}
