/* SPDX-License-Identifier: ISC */
/*
 * memory: the store and its file. Called by the role for each record. Updates are committed together, about a second after the
 * first. A file that is damaged, or that the process did not survive reading, is set aside as state.mdb.damaged with
 * a warning and begun anew; a disk that takes nothing costs the updates since the last commit and a warning now and
 * then. Nothing here stops mail.
 */
#include "state/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/fiber.h"
#include "common/base/log.h"

#define FILE_NAME "state.mdb"
#define DAMAGED_NAME "state.mdb.damaged"
#define LOCK_NAME "state.lock"
#define MARK_NAME "state.opening" /* there while the file is read for the first time */
#define COMMIT_AFTER_MS 1000
#define MOST_PENDING 4000 /* updates: what one transaction keeps in memory */
#define LOCK_WAIT_S 10    /* for a predecessor to end */
#define RETRY_MS 10000
#define SILENCE_MS 60000

static struct {
    struct store *store; /* NULL: cannot be had now */
    struct fiber_cond changed;
    int64_t retry_at;
    int64_t silent_until;
} memory;

static int64_t now_ms(void)
{
    return wall_us() / 1000;
}

static void complain(const char *what)
{
    if (clock_ms() < memory.silent_until)
        return;
    memory.silent_until = deadline_in_ms(SILENCE_MS);
    log_warning("%s: %s: %s; going on without what is not stored", FILE_NAME, what, store_error());
}

/* --- the file ------------------------------------------------------------------------------------ */

/* Held until the process ends. */
static void take_lock(void)
{
    int64_t deadline = deadline_in_s(LOCK_WAIT_S);
    int fd = open(LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        log_fatal("open %s: %s", LOCK_NAME, strerror(errno));
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || clock_ms() >= deadline)
            log_fatal("lock %s: %s", LOCK_NAME, strerror(errno));
        if (fiber_sleep_until(deadline_in_ms(20)) != WAIT_OK)
            log_fatal("lock %s: cancelled", LOCK_NAME);
    }
}

static void set_aside(const char *why)
{
    log_warning("%s: %s: set aside as %s; starting with an empty memory", FILE_NAME, why, DAMAGED_NAME);
    if (rename(FILE_NAME, DAMAGED_NAME) < 0 && errno != ENOENT)
        log_fatal("rename %s to %s: %s", FILE_NAME, DAMAGED_NAME, strerror(errno));
}

/* The mark tells the next process that this one did not survive what follows. */
static void set_mark(void)
{
    int fd = open(MARK_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || close(fd) < 0)
        log_warning("create %s: %s", MARK_NAME, strerror(errno));
}

static void remove_mark(void)
{
    if (unlink(MARK_NAME) < 0 && errno != ENOENT)
        log_warning("remove %s: %s", MARK_NAME, strerror(errno));
}

static void open_store(void)
{
    set_mark();
    enum store_status status = store_open(FILE_NAME, &memory.store);
    if (status == STORE_DAMAGED) {
        set_aside(store_error());
        status = store_open(FILE_NAME, &memory.store);
    }
    remove_mark();
    if (status == STORE_OK)
        return;
    memory.retry_at = deadline_in_ms(RETRY_MS);
    complain("cannot be opened");
}

/* The store, or NULL while there is none. */
static struct store *usable(void)
{
    if (memory.store == NULL && clock_ms() >= memory.retry_at)
        open_store();
    return memory.store;
}

static void handle_failure(enum store_status status, const char *what)
{
    if (status == STORE_FAILED) {
        complain(what);
    } else if (status == STORE_DAMAGED) {
        set_aside(store_error());
        store_close(memory.store);
        memory.store = NULL;
        memory.retry_at = 0;
    }
}

/* --- committing -------------------------------------------------------------------------------------- */

static void commit(void)
{
    if (memory.store != NULL)
        handle_failure(store_commit(memory.store, now_ms()), "cannot be written");
}

static void commit_fiber(void *arg UNUSED)
{
    for (;;) {
        if (fiber_cond_wait(&memory.changed, CLOCK_NEVER) == WAIT_CANCELLED ||
            fiber_sleep_until(deadline_in_ms(COMMIT_AFTER_MS)) == WAIT_CANCELLED)
            return;
        commit();
    }
}

static void note_update(enum store_status status)
{
    if (status != STORE_OK)
        handle_failure(status, "cannot be changed");
    else if (store_pending(memory.store) >= MOST_PENDING)
        commit();
    else
        fiber_cond_signal(&memory.changed);
}

void memory_open(void)
{
    take_lock();
    if (access(MARK_NAME, F_OK) == 0)
        set_aside("the process before this one did not survive opening it");
    open_store();
    fiber_spawn("commit", commit_fiber, NULL);
}

void memory_close(void)
{
    commit();
    store_close(memory.store);
    memory.store = NULL;
    memory.retry_at = CLOCK_NEVER;
}

/* --- questions ----------------------------------------------------------------------------------------- */

bool memory_get(const char *name, const char *key, struct slice *value)
{
    struct store *store = usable();
    *value = SLICE("");
    if (store == NULL)
        return false;
    enum store_status status = store_get(store, name, key, now_ms(), value);
    if (status != STORE_OK)
        handle_failure(status, "cannot be read");
    return status == STORE_OK;
}

void memory_put(const char *name, const char *key, struct slice value, int64_t expires_ms)
{
    struct store *store = usable();
    if (store != NULL)
        note_update(store_put(store, name, key, value, expires_ms));
}
