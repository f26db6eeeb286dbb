/* SPDX-License-Identifier: ISC */
/*
 * file_ops: creates, changes and removes files of a spool, many for one flush. Called by the queue's file
 * thread and by commands on a stopped queue. Each operation fails alone; when the common sync fails, all
 * that needed it have failed, and new files are removed again.
 */
#include "common/spool/file_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/spool/spool_io.h"

#define MOST_SINGLE_SYNCS 4 /* above, one syncfs is cheaper than so many flushes one after another */
#define ZEROS_SIZE (1024 * 1024)

static int file_write_header(struct file_op *op, int fd, off_t offset)
{
    struct iovec piece = {op->header, sizeof op->header};
    return spool_io_write(fd, &piece, 1, offset);
}

static int file_write_pieces(struct file_op *op, int fd)
{
    struct iovec pieces[FILE_OP_PIECES];
    memcpy(pieces, op->pieces, sizeof pieces);
    return op->piece_count == 0 ? 0 : spool_io_write(fd, pieces, op->piece_count, op->offset);
}

static int file_create(int directory, struct file_op *op)
{
    op->fd = spool_io_create(directory, op->path, O_RDWR | O_TRUNC);
    if (op->fd < 0 || file_write_pieces(op, op->fd) < 0)
        return -1;
    return op->mtime != 0 ? spool_io_set_time(op->fd, op->mtime) : 0;
}

/* The header goes last: a file without one was never acknowledged. */
static int file_seal(int directory, struct file_op *op)
{
    if (file_write_pieces(op, op->fd) < 0 || file_write_header(op, op->fd, 0) < 0)
        return -1;
    return spool_io_rename(directory, op->path, op->new_path);
}

static int file_change(int directory, struct file_op *op)
{
    op->fd = spool_io_open(directory, op->path, O_RDWR);
    if (op->fd < 0 || file_write_pieces(op, op->fd) < 0)
        return -1;
    if (op->mtime != 0 && spool_io_set_time(op->fd, op->mtime) < 0)
        return -1;
    if (op->new_path[0] != '\0' && spool_io_rename(directory, op->path, op->new_path) < 0)
        return -1;
    op->renamed = op->new_path[0] != '\0';
    return 0;
}

static int segment_fill(struct file_op *op)
{
    char *zeros = mem_alloc(ZEROS_SIZE);
    int result = 0;
    for (uint32_t at = 0; at < op->segment_size && result == 0; at += ZEROS_SIZE) {
        uint32_t left = op->segment_size - at;
        struct iovec piece = {zeros, left < ZEROS_SIZE ? left : ZEROS_SIZE};
        result = spool_io_write(op->fd, &piece, 1, at);
    }
    free(zeros);
    return result;
}

static int segment_create(int directory, struct file_op *op)
{
    op->fd = spool_io_create(directory, op->path, O_RDWR | O_TRUNC);
    if (op->fd < 0 || segment_fill(op) < 0 || file_write_header(op, op->fd, op->header_offset) < 0)
        return -1;
    return spool_io_sync(op->fd);
}

static int file_op_run(int directory, struct file_op *op)
{
    switch (op->kind) {
    case FILE_CREATE:
        return file_create(directory, op);
    case FILE_SEAL:
        return file_seal(directory, op);
    case FILE_CHANGE:
        return file_change(directory, op);
    case SEGMENT_CREATE:
        return segment_create(directory, op);
    case SEGMENT_RECYCLE:
        return file_write_header(op, op->fd, op->header_offset) < 0 ? -1 : spool_io_sync_data(op->fd);
    case FILE_REMOVE:
        return spool_io_unlink(directory, op->path);
    case SEGMENT_REMOVE: /* must not come back when a later segment, with its DONE frames, is gone */
        return spool_io_unlink(directory, op->path) < 0 ? -1 : spool_io_sync_directory(directory, "incoming");
    }
    return 0;
}

static bool file_op_needs_sync(const struct file_op *op)
{
    if (op->error != 0)
        return false;
    return op->kind == FILE_CREATE || op->kind == FILE_SEAL || op->kind == SEGMENT_CREATE ||
           (op->kind == FILE_CHANGE && op->sync);
}

/* --- one sync for all ------------------------------------------------------------------- */

struct directories {
    char paths[MOST_SINGLE_SYNCS + 1][SPOOL_PATH_SIZE];
    size_t count;
};

static void directories_add(struct directories *directories, const char *file)
{
    char path[SPOOL_PATH_SIZE];
    memcpy(path, file, sizeof path);
    char *slash = strrchr(path, '/');
    if (slash == NULL || directories->count > MOST_SINGLE_SYNCS)
        return;
    *slash = '\0';
    for (size_t i = 0; i < directories->count; i++)
        if (strcmp(directories->paths[i], path) == 0)
            return;
    memcpy(directories->paths[directories->count++], path, sizeof path);
}

static int file_ops_sync_each(int directory, struct file_op_list *ops, const struct directories *directories)
{
    struct file_op *op;
    TAILQ_FOREACH(op, ops, link)
        if (file_op_needs_sync(op) && op->kind != SEGMENT_CREATE && spool_io_sync(op->fd) < 0)
            return -1;
    for (size_t i = 0; i < directories->count; i++)
        if (spool_io_sync_directory(directory, directories->paths[i]) < 0)
            return -1;
    return 0;
}

static int file_ops_sync(int directory, struct file_op_list *ops)
{
    struct directories directories = {.count = 0};
    size_t files = 0;
    struct file_op *op;
    TAILQ_FOREACH(op, ops, link) {
        if (!file_op_needs_sync(op))
            continue;
        files += op->kind != SEGMENT_CREATE;
        if (op->kind != FILE_CHANGE || op->new_path[0] != '\0')
            directories_add(&directories, op->path);
        if (op->new_path[0] != '\0')
            directories_add(&directories, op->new_path);
    }
    if (files + directories.count <= MOST_SINGLE_SYNCS)
        return file_ops_sync_each(directory, ops, &directories);
    return spool_io_sync_all(directory);
}

/* --- afterwards ----------------------------------------------------------------------------- */

bool file_op_is_segment(const struct file_op *op)
{
    return op->kind == SEGMENT_CREATE || op->kind == SEGMENT_RECYCLE || op->kind == SEGMENT_REMOVE;
}

static void file_op_clean_up(int directory, struct file_op *op)
{
    bool keep = file_op_is_segment(op) && (op->error == 0 || op->kind != SEGMENT_CREATE);
    bool is_new = op->kind == FILE_CREATE || op->kind == FILE_SEAL || op->kind == SEGMENT_CREATE;
    if (op->fd >= 0 && !keep) {
        if (spool_io_close(op->fd) < 0 && op->error == 0 && is_new)
            op->error = errno;
        op->fd = -1;
    }
    /* Half a file is worth nothing and may stand in the way; if it cannot go, the next start removes it. */
    if (op->error == 0 || !is_new)
        return;
    if (op->new_path[0] != '\0' && spool_io_unlink(directory, op->new_path) < 0 && errno != ENOENT)
        return;
    if (spool_io_unlink(directory, op->path) < 0)
        return;
}

void file_ops_run(int queue_directory, struct file_op_list *ops)
{
    struct file_op *op;
    bool needed = false;
    TAILQ_FOREACH(op, ops, link) {
        op->error = file_op_run(queue_directory, op) < 0 ? errno : 0;
        needed = needed || file_op_needs_sync(op);
    }
    int sync_error = needed && file_ops_sync(queue_directory, ops) < 0 ? errno : 0;
    TAILQ_FOREACH(op, ops, link) {
        if (sync_error != 0 && file_op_needs_sync(op))
            op->error = sync_error;
        file_op_clean_up(queue_directory, op);
    }
}
