/* SPDX-License-Identifier: ISC */
/*
 * virtual mbox: appends to a mailbox file, locked as virtual_mailbox_lock says. Locks between processes and
 * between our own fibers alike: open-file-description locks, which other programs see as fcntl locks. A
 * delivery that fails cuts the file back to what it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/mail/quote.h"
#include "virtual/virtual.h"

struct mbox {
    const struct mailbox *mailbox;
    struct arena *arena;
    char *lock_path;
    bool dot_locked;
    int fd;
    struct stat info;
};

static struct mailbox_result mbox_failed(const struct mbox *m, const char *dsn, const char *detail)
{
    return (struct mailbox_result){
        dsn, arena_printf(m->arena, "delivery failed to mailbox %s: %s", m->mailbox->path, detail)};
}

static struct mailbox_result mbox_failed_errno(const struct mbox *m, int error, const char *otherwise,
                                                const char *what)
{
    return mbox_failed(m, mailbox_dsn(error, otherwise), arena_printf(m->arena, "%s: %s", what, strerror(error)));
}

/* --- locks ------------------------------------------------------------------------------- */

/* One attempt, with the owner's ids. 0 or an errno; EEXIST: somebody else holds it. */
static int mbox_try_dotlock(struct mbox *m)
{
    struct stat info;
    int error = 0;
    owner_become(m->mailbox->uid, m->mailbox->gid);
    int fd = open(m->lock_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    else
        error = errno;
    if (error == EEXIST && stat(m->lock_path, &info) == 0 &&
        time(NULL) > info.st_ctime + virtual_settings.stale_lock_time && unlink(m->lock_path) == 0)
        log_warning("removed stale lock file %s", m->lock_path);
    owner_return();
    return error;
}

static int mbox_try_lock(struct mbox *m)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if ((virtual_settings.locks & LOCK_FLOCK) != 0 && flock(m->fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    if ((virtual_settings.locks & LOCK_FCNTL) != 0 && fcntl(m->fd, F_OFD_SETLK, &lock) < 0)
        return errno == EACCES ? EAGAIN : errno;
    return 0;
}

/* Tries deliver_lock_attempts times; other deliveries go on meanwhile. */
static int mbox_lock_patiently(struct mbox *m, int (*try)(struct mbox *m), int busy)
{
    for (unsigned attempt = 1;; attempt++) {
        int error = try(m);
        if (error != busy || attempt >= virtual_settings.lock_attempts)
            return error;
        if (fiber_sleep_until(deadline_in_s(virtual_settings.lock_delay)) != WAIT_OK)
            return error;
    }
}

static void mbox_unlock(struct mbox *m)
{
    if (!m->dot_locked)
        return;
    owner_become(m->mailbox->uid, m->mailbox->gid);
    if (unlink(m->lock_path) < 0)
        log_warning("remove %s: %s", m->lock_path, strerror(errno));
    owner_return();
    m->dot_locked = false;
}

/* --- opening -------------------------------------------------------------------------------- */

/* Not a device, not a link to somebody else's file; opening must not hang on a FIFO. */
static struct mailbox_result mbox_check(struct mbox *m, const struct recipient *to)
{
    if (fstat(m->fd, &m->info) < 0)
        return mbox_failed_errno(m, errno, "4.2.0", "fstat");
    if (!S_ISREG(m->info.st_mode)) {
        log_warning("recipient %s: destination %s is not a regular file", to->address, m->mailbox->path);
        return mbox_failed(m, "5.3.5", "mail system configuration error");
    }
    if (m->info.st_nlink != 1)
        return mbox_failed(m, "4.2.0", "target file status changed unexpectedly");
    if (virtual_settings.strict_ownership && m->info.st_uid != m->mailbox->uid) {
        log_warning("specify \"strict_mailbox_ownership = no\" to ignore mailbox ownership mismatch");
        return mbox_failed(m, "4.2.0",
                           arena_printf(m->arena, "destination %s is not owned by recipient", m->mailbox->path));
    }
    return (struct mailbox_result){0};
}

static struct mailbox_result mbox_open(struct mbox *m, const struct recipient *to)
{
    m->lock_path = arena_printf(m->arena, "%s.lock", m->mailbox->path);
    if ((virtual_settings.locks & LOCK_DOTLOCK) != 0) {
        int error = mbox_lock_patiently(m, mbox_try_dotlock, EEXIST);
        if (error != 0)
            return mbox_failed(m, mailbox_dsn(error == EEXIST ? EAGAIN : error, "4.2.0"),
                               arena_printf(m->arena, "unable to create lock file %s: %s", m->lock_path,
                                            strerror(error)));
        m->dot_locked = true;
    }
    owner_become(m->mailbox->uid, m->mailbox->gid);
    m->fd = open(m->mailbox->path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0600);
    owner_return();
    if (m->fd < 0)
        return mbox_failed_errno(m, errno, "4.2.0", arena_printf(m->arena, "cannot open file %s", m->mailbox->path));
    struct mailbox_result failure = mbox_check(m, to);
    if (failure.dsn != NULL)
        return failure;
    int error = mbox_lock_patiently(m, mbox_try_lock, EAGAIN);
    if (error != 0)
        return mbox_failed_errno(m, error, "4.2.0", "unable to lock for exclusive access");
    return mbox_check(m, to); /* waiting took time: look again, and take the size for the way back */
}

/* --- appending --------------------------------------------------------------------------------- */

static void mbox_put_from_line(const struct delivery *delivery, struct str *out)
{
    char date[64];
    time_t now = time(NULL);
    struct tm broken_down;
    str_append(out, "From ");
    if (delivery->envelope.sender[0] == '\0')
        str_append(out, "MAILER-DAEMON");
    else
        quote_append_address(out, delivery->envelope.sender);
    if (localtime_r(&now, &broken_down) == NULL ||
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &broken_down) == 0)
        log_panic("cannot write a date");
    str_printf(out, "  %s\n", date);
}

static struct mailbox_result mbox_append(struct mbox *m, struct slice header, struct delivery_job *job)
{
    struct str head = STR_EMPTY;
    enum message_status status = MESSAGE_WRITE_ERROR;
    mbox_put_from_line(&job->delivery, &head);
    str_append_slice(&head, header);
    uint64_t size = (uint64_t)m->info.st_size + head.len + job->delivery.content_size;
    errno = EFBIG;
    if (virtual_settings.mailbox_limit == 0 || size <= virtual_settings.mailbox_limit) {
        /* Quotas count what is written with the owner's ids. */
        owner_become(m->mailbox->uid, m->mailbox->gid);
        status = message_write(m->fd, str_slice(&head), &job->content, true);
        owner_return();
    }
    str_free(&head);
    int error = errno;
    if (status == MESSAGE_OK && (error = sync_shared(m->fd)) != 0)
        status = MESSAGE_WRITE_ERROR;
    if (status == MESSAGE_OK)
        return (struct mailbox_result){"2.0.0", "delivered to mailbox"};
    if (ftruncate(m->fd, m->info.st_size) < 0)
        log_warning("cannot cut %s back to %lld bytes: %s", m->mailbox->path, (long long)m->info.st_size,
                    strerror(errno));
    if (status == MESSAGE_CORRUPT)
        return (struct mailbox_result){NULL, NULL};
    if (status == MESSAGE_READ_ERROR)
        return mbox_failed_errno(m, error, "4.3.0", "error reading message");
    return mbox_failed_errno(m, error, "5.3.0", "error writing message");
}

struct mailbox_result mbox_deliver(const struct mailbox *mailbox, struct slice header, struct delivery_job *job,
                                    const struct recipient *to)
{
    struct mbox m = {.mailbox = mailbox, .arena = job->arena, .fd = -1};
    struct mailbox_result result = mbox_open(&m, to);
    if (result.dsn == NULL)
        result = mbox_append(&m, header, job);
    if (m.fd >= 0 && close(m.fd) < 0 && result.dsn != NULL && result.dsn[0] == '2')
        result = mbox_failed_errno(&m, errno, "5.3.0", "error writing message");
    mbox_unlock(&m);
    return result;
}
