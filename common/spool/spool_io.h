/* SPDX-License-Identifier: ISC */
/*
 * Every change that Posthorn makes to a spool goes through these calls: thin wrappers that finish partial
 * writes and retry EINTR. A test hook sees each call before it happens and may make it fail; so
 * write, sync and rename failures and crashes at every step are tested (tests/unit/test_spool_crash.c).
 * All return 0 (or a descriptor), or -1 with errno. Called from the loop's thread and the sync threads.
 */
#ifndef POSTHORN_SPOOL_SPOOL_IO_H
#define POSTHORN_SPOOL_SPOOL_IO_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/base/status.h"

enum spool_io_call {
    SPOOL_IO_CREATE,
    SPOOL_IO_WRITE,
    SPOOL_IO_SYNC,    /* fsync or fdatasync of a file or directory */
    SPOOL_IO_SYNC_ALL,/* syncfs */
    SPOOL_IO_RENAME,
    SPOOL_IO_UNLINK,
    SPOOL_IO_TRUNCATE,
    SPOOL_IO_SET_TIME,
    SPOOL_IO_CLOSE,
};

struct spool_io_event {
    enum spool_io_call call;
    int fd;               /* -1 when there is none */
    const char *path;     /* below the queue directory; or NULL */
    const char *new_path; /* of a rename */
    const struct iovec *pieces;
    int piece_count;
    off_t offset;
};

/* Returns 0 to let the call happen, or an errno to make it fail. NULL: no hook. */
void spool_io_set_hook(int (*hook)(const struct spool_io_event *event));

int spool_io_create(int directory, const char *path, int flags) MUST_CHECK; /* mode 0600 */
int spool_io_open(int directory, const char *path, int flags) MUST_CHECK;   /* an existing file */
int spool_io_write(int fd, struct iovec *pieces, int count, off_t offset) MUST_CHECK; /* pieces are used up */
int spool_io_sync_data(int fd) MUST_CHECK;
int spool_io_sync(int fd) MUST_CHECK;
int spool_io_sync_all(int fd) MUST_CHECK;
int spool_io_sync_directory(int directory, const char *path) MUST_CHECK;
int spool_io_rename(int directory, const char *from, const char *to) MUST_CHECK;
int spool_io_unlink(int directory, const char *path) MUST_CHECK;
int spool_io_truncate(int fd, off_t size) MUST_CHECK;
int spool_io_set_time(int fd, int64_t seconds) MUST_CHECK; /* mtime */
int spool_io_close(int fd) MUST_CHECK;
/* Reads exactly len bytes. A short file is EIO. */
int spool_io_read(int fd, void *data, size_t len, off_t offset) MUST_CHECK;

#endif
