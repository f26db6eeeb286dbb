/* SPDX-License-Identifier: ISC */
/* What tells that a file is another one than before: time, size and inode. */
#ifndef POSTHORN_TABLE_FILE_STAMP_H
#define POSTHORN_TABLE_FILE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct file_stamp {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

static inline struct file_stamp file_stamp_of(const struct stat *st)
{
    return (struct file_stamp){true, st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}

static inline struct file_stamp file_stamp_get(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? file_stamp_of(&st) : (struct file_stamp){0};
}

static inline bool file_stamp_equal(struct file_stamp a, struct file_stamp b)
{
    return a.exists == b.exists && a.device == b.device && a.inode == b.inode && a.size == b.size &&
           a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec;
}

static inline bool file_stamp_newer(struct file_stamp a, struct file_stamp b)
{
    return a.changed.tv_sec != b.changed.tv_sec ? a.changed.tv_sec > b.changed.tv_sec
                                                : a.changed.tv_nsec > b.changed.tv_nsec;
}

/*
 * False within a second of a change: somebody may be in the middle of writing, and what is read now would lack its end. A
 * time in the future was set on purpose.
 */
static inline bool file_stamp_is_settled(struct file_stamp stamp)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ms = (int64_t)(now.tv_sec - stamp.changed.tv_sec) * 1000 + (now.tv_nsec - stamp.changed.tv_nsec) / 1000000;
    return age_ms < 0 || age_ms >= 1000;
}

#endif
