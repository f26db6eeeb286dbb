/* SPDX-License-Identifier: ISC */
/*
 * Changes to messages' own files and to whole segments. Collected by the queue, run together (in a thread of
 * their own), and made durable by as few flushes as possible: a handful of fsyncs, or one syncfs for many.
 */
#ifndef POSTHORN_SPOOL_FILE_OPS_H
#define POSTHORN_SPOOL_FILE_OPS_H

#include <sys/queue.h>
#include <sys/uio.h>

#include "common/spool/frame.h"
#include "common/spool/journal.h"
#include "common/spool/layout.h"

#define FILE_OP_PIECES 5

enum file_op_kind {
    FILE_CREATE,      /* a new file: pieces from offset 0, mtime; must be durable */
    FILE_SEAL,        /* fd is open and holds the content: pieces at offset, the header, rename to new_path; must be durable */
    FILE_CHANGE,      /* pieces (if any) at offset, mtime (if any), rename to new_path (if any) */
    FILE_REMOVE,
    SEGMENT_CREATE,   /* path: zero-filled, with header; fd is filled in */
    SEGMENT_RECYCLE,  /* fd: another header */
    SEGMENT_REMOVE,
};

struct file_op {
    TAILQ_ENTRY(file_op) link;
    enum file_op_kind kind;
    int fd;                       /* FILE_SEAL: closed afterwards; SEGMENT_*: kept */
    char path[SPOOL_PATH_SIZE];
    char new_path[SPOOL_PATH_SIZE]; /* "": no rename */
    struct iovec pieces[FILE_OP_PIECES];
    int piece_count;
    int64_t offset;
    int64_t mtime;                /* seconds; 0: leave */
    bool sync;                    /* FILE_CHANGE: wait for stable storage */
    unsigned char header[SEGMENT_HEADER_SIZE]; /* of the file or segment; both are 64 bytes */
    uint32_t segment_size, header_offset;
    bool renamed;                 /* FILE_CHANGE: it has the new name, whatever failed afterwards */
    int error;                    /* an errno, or 0 */
    void (*done)(struct file_op *op); /* on the loop's thread; owns the op from here on */
};
TAILQ_HEAD(file_op_list, file_op);

/* About a segment of the journal rather than a message's file. */
bool file_op_is_segment(const struct file_op *op);
/* Runs all of them, in order, and syncs once. Touches nothing but the ops; any thread. */
void file_ops_run(int queue_directory, struct file_op_list *ops);

#endif
