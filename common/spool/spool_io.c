/* SPDX-License-Identifier: ISC */
/* spool_io: the system calls that change a spool, in one place, with a hook for fault injection. */
#include "common/spool/spool_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int (*io_hook)(const struct spool_io_event *event);

void spool_io_set_hook(int (*hook)(const struct spool_io_event *event))
{
    io_hook = hook;
}

/* True when the hook lets it happen. */
static bool io_allowed(const struct spool_io_event *event)
{
    int error = io_hook != NULL ? io_hook(event) : 0;
    if (error != 0)
        errno = error;
    return error == 0;
}

static bool io_allowed_fd(enum spool_io_call call, int fd)
{
    return io_allowed(&(struct spool_io_event){.call = call, .fd = fd});
}

static bool io_allowed_path(enum spool_io_call call, const char *path, const char *new_path)
{
    return io_allowed(&(struct spool_io_event){.call = call, .fd = -1, .path = path, .new_path = new_path});
}

int spool_io_open(int directory, const char *path, int flags)
{
    int fd;
    do
        fd = openat(directory, path, flags | O_CLOEXEC | O_NOFOLLOW);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int spool_io_create(int directory, const char *path, int flags)
{
    int fd;
    if (!io_allowed_path(SPOOL_IO_CREATE, path, NULL))
        return -1;
    do
        fd = openat(directory, path, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Drops what has been written from the front of the pieces. */
static void io_advance(struct iovec **pieces, int *count, size_t done)
{
    while (*count > 0 && done >= (*pieces)->iov_len) {
        done -= (*pieces)->iov_len;
        (*pieces)++;
        (*count)--;
    }
    if (*count > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + done;
        (*pieces)->iov_len -= done;
    }
}

int spool_io_write(int fd, struct iovec *pieces, int count, off_t offset)
{
    struct spool_io_event event = {
        .call = SPOOL_IO_WRITE, .fd = fd, .pieces = pieces, .piece_count = count, .offset = offset};
    if (!io_allowed(&event))
        return -1;
    io_advance(&pieces, &count, 0);
    while (count > 0) {
        ssize_t n = pwritev(fd, pieces, count < IOV_MAX ? count : IOV_MAX, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return -1;
        offset += n;
        io_advance(&pieces, &count, (size_t)n);
    }
    return 0;
}

int spool_io_sync_data(int fd)
{
    return io_allowed_fd(SPOOL_IO_SYNC, fd) ? fdatasync(fd) : -1;
}

int spool_io_sync(int fd)
{
    return io_allowed_fd(SPOOL_IO_SYNC, fd) ? fsync(fd) : -1;
}

int spool_io_sync_all(int fd)
{
    return io_allowed_fd(SPOOL_IO_SYNC_ALL, fd) ? syncfs(fd) : -1;
}

int spool_io_sync_directory(int directory, const char *path)
{
    int fd = spool_io_open(directory, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return -1;
    int result = spool_io_sync(fd);
    int saved_errno = errno;
    if (close(fd) < 0 && result == 0)
        return -1;
    errno = saved_errno;
    return result;
}

int spool_io_rename(int directory, const char *from, const char *to)
{
    return io_allowed_path(SPOOL_IO_RENAME, from, to) ? renameat(directory, from, directory, to) : -1;
}

int spool_io_unlink(int directory, const char *path)
{
    return io_allowed_path(SPOOL_IO_UNLINK, path, NULL) ? unlinkat(directory, path, 0) : -1;
}

int spool_io_truncate(int fd, off_t size)
{
    struct spool_io_event event = {.call = SPOOL_IO_TRUNCATE, .fd = fd, .offset = size};
    return io_allowed(&event) ? ftruncate(fd, size) : -1;
}

int spool_io_set_time(int fd, int64_t seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)seconds}};
    return io_allowed_fd(SPOOL_IO_SET_TIME, fd) ? futimens(fd, times) : -1;
}

int spool_io_close(int fd)
{
    bool allowed = io_allowed_fd(SPOOL_IO_CLOSE, fd);
    int saved_errno = errno;
    int result = close(fd); /* the descriptor is gone in any case */
    if (allowed)
        return result;
    errno = saved_errno;
    return -1;
}

int spool_io_read(int fd, void *data, size_t len, off_t offset)
{
    char *at = data;
    while (len > 0) {
        ssize_t n = pread(fd, at, len, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return -1;
        at += n;
        offset += n;
        len -= (size_t)n;
    }
    return 0;
}
