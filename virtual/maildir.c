/* SPDX-License-Identifier: ISC */
/*
 * virtual maildir: delivery as maildir(5) has it: written in tmp/, synced, moved to new/, the directory synced.
 * Every file operation is made with the owner's ids; nothing waits in between but the syncs. What fails
 * leaves no file behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "virtual/virtual.h"

struct maildir {
    const struct mailbox *mailbox;
    struct arena *arena;
    char *tmp_path, *new_path;
    int fd;
    bool made_directories;
};

const char *mailbox_dsn(int error, const char *otherwise)
{
    if (error == EAGAIN || error == ESTALE)
        return "4.2.0";
    if (error == ENOSPC)
        return "4.3.0";
    if (error == EDQUOT || error == EFBIG)
        return "5.2.2";
    return otherwise;
}

static struct mailbox_result maildir_failed(const struct maildir *m, int error, const char *otherwise,
                                             const char *what, const char *path)
{
    const char *detail = arena_printf(m->arena, "%s%s%s: %s", what, *path != '\0' ? " " : "", path, strerror(error));
    if (error == EACCES) {
        log_warning("maildir access problem for UID/GID=%lu/%lu: %s", (unsigned long)m->mailbox->uid,
                    (unsigned long)m->mailbox->gid, detail);
        log_warning("perhaps you need to create the maildirs in advance");
    }
    return (struct mailbox_result){mailbox_dsn(error, otherwise),
                                    arena_printf(m->arena, "maildir delivery failed: %s", detail)};
}

/* Makes a directory and those above it; the file name after the last slash is not part of it. */
static bool maildir_make_directories(struct maildir *m, const char *path)
{
    char *part = arena_strdup(m->arena, path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) == 0)
            m->made_directories = true;
        else if (errno != EEXIST)
            return false;
        *slash = '/';
    }
    return true;
}

static int maildir_create(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Opens the file in tmp/ and names the one in new/. */
static bool maildir_open(struct maildir *m)
{
    static unsigned long serial;
    struct timeval now;
    struct stat info;
    const char *host = virtual_settings.host_name;
    gettimeofday(&now, NULL);
    m->tmp_path = arena_printf(m->arena, "%stmp/%lu.P%dQ%lu.%s", m->mailbox->path, (unsigned long)now.tv_sec,
                               (int)getpid(), ++serial, host);
    m->fd = maildir_create(m->tmp_path);
    if (m->fd < 0 && errno == ENOENT && maildir_make_directories(m, m->tmp_path))
        m->fd = maildir_create(m->tmp_path);
    if (m->fd < 0)
        return false;
    if (fstat(m->fd, &info) < 0)
        log_fatal("fstat %s: %s", m->tmp_path, strerror(errno));
    m->new_path = arena_printf(m->arena, "%snew/%lu.V%lxI%lxM%lu.%s", m->mailbox->path, (unsigned long)now.tv_sec,
                               (unsigned long)info.st_dev, (unsigned long)info.st_ino,
                               (unsigned long)now.tv_usec, host);
    return true;
}

static bool maildir_rename(const struct maildir *m)
{
    if (renameat2(AT_FDCWD, m->tmp_path, AT_FDCWD, m->new_path, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS) /* some file systems know no flags */
        return false;
    if (link(m->tmp_path, m->new_path) < 0)
        return false;
    if (unlink(m->tmp_path) < 0)
        log_warning("remove %s: %s", m->tmp_path, strerror(errno));
    return true;
}

/* Moves the message to new/ and opens that directory for the sync. */
static bool maildir_move(struct maildir *m, int *directory)
{
    char *path = arena_printf(m->arena, "%snew/", m->mailbox->path);
    char *cur = arena_printf(m->arena, "%scur/", m->mailbox->path);
    if (!maildir_rename(m)) {
        if (errno != ENOENT || !maildir_make_directories(m, path) || !maildir_make_directories(m, cur) ||
            !maildir_rename(m))
            return false;
    }
    *directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*directory >= 0)
        return true;
    int error = errno;
    unlink(m->new_path); /* not known to be on disk: it will be delivered again */
    errno = error;
    return false;
}

static void maildir_remove(const struct maildir *m, const char *path)
{
    owner_become(m->mailbox->uid, m->mailbox->gid);
    if (unlink(path) < 0 && errno != ENOENT)
        log_warning("remove %s: %s", path, strerror(errno));
    owner_return();
}

static struct mailbox_result maildir_write(struct maildir *m, struct slice header, struct delivery_job *job)
{
    uint64_t size = header.len + job->delivery.content_size;
    enum message_status status = MESSAGE_WRITE_ERROR;
    errno = EFBIG;
    if (virtual_settings.mailbox_limit == 0 || size <= virtual_settings.mailbox_limit)
        status = message_write(m->fd, header, &job->content, false);
    if (status == MESSAGE_CORRUPT)
        return (struct mailbox_result){NULL, NULL};
    if (status == MESSAGE_READ_ERROR)
        return maildir_failed(m, errno, "4.3.0", "error reading message", "");
    if (status == MESSAGE_WRITE_ERROR)
        return maildir_failed(m, errno, "5.3.0", "error writing message", "");
    return (struct mailbox_result){"2.0.0", "delivered to maildir"};
}

/* The file is complete in tmp/: sync it, move it, sync its new directory. */
static struct mailbox_result maildir_finish(struct maildir *m)
{
    int directory = -1;
    int error = sync_shared(m->fd);
    if (close(m->fd) < 0 && error == 0)
        error = errno;
    if (error != 0) {
        maildir_remove(m, m->tmp_path);
        return maildir_failed(m, error, "5.3.0", "error writing message", "");
    }
    owner_become(m->mailbox->uid, m->mailbox->gid);
    bool moved = maildir_move(m, &directory);
    owner_return();
    if (!moved) {
        error = errno;
        maildir_remove(m, m->tmp_path);
        return maildir_failed(m, error, "4.2.0", "create maildir file", m->new_path);
    }
    if (m->made_directories) /* their names are in directories above */
        error = syncfs(directory) < 0 ? errno : 0;
    else
        error = sync_shared(directory);
    close(directory); /* read only */
    if (error != 0) {
        maildir_remove(m, m->new_path);
        return maildir_failed(m, error, "4.2.0", "create maildir file", m->new_path);
    }
    return (struct mailbox_result){"2.0.0", "delivered to maildir"};
}

struct mailbox_result maildir_deliver(const struct mailbox *mailbox, struct slice header,
                                       struct delivery_job *job)
{
    struct maildir m = {.mailbox = mailbox, .arena = job->arena, .fd = -1};
    struct mailbox_result result;
    owner_become(mailbox->uid, mailbox->gid);
    bool opened = maildir_open(&m);
    if (opened)
        result = maildir_write(&m, header, job);
    owner_return();
    if (!opened)
        return maildir_failed(&m, errno, "4.2.0", "create maildir file", m.tmp_path);
    if (result.dsn != NULL && result.dsn[0] == '2')
        return maildir_finish(&m);
    close(m.fd); /* what it holds is thrown away */
    maildir_remove(&m, m.tmp_path);
    return result;
}
