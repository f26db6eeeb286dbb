/* SPDX-License-Identifier: ISC */
/*
 * A spool: the journal, the messages' own files, the serial numbers, and what a start after a crash makes
 * of them. One process has it open at a time. The queue runs the disk's work in two threads (one for the
 * journal, one for files); commands on a stopped queue run it in place with spool_run_all().
 */
#ifndef POSTHORN_SPOOL_SPOOL_H
#define POSTHORN_SPOOL_SPOOL_H

#include "common/spool/file_ops.h"
#include "common/spool/journal.h"
#include "common/spool/layout.h"
#include "common/spool/message_file.h"

struct spool_options {
    uint32_t segment_size; /* SEGMENT_SIZE; tests use less */
    size_t most_spare;     /* empty segments kept */
    bool read_only;        /* look only: no lock, no repair, no new segment */
    bool fill_later;       /* a new spool's first segment is made behind the caller's back, by spool_upkeep() */
};

/* A message that a start found: in the journal, or with a file of its own in incoming/. */
struct found_message {
    enum spool_place where;
    uint32_t serial;
    char queue_id[SPOOL_ID_SIZE];
    struct slice frame;      /* in the journal: valid during the call */
    struct segment *segment; /* in the journal */
    uint32_t offset;
    const uint32_t *done; /* indexes of settled recipients */
    size_t done_count;
};
typedef void found_message_handler(void *context, const struct found_message *found);

struct spool {
    int directory; /* the queue directory */
    int lock;      /* incoming/, locked; -1: read_only */
    struct spool_options options;
    struct journal *journal;
    struct file_op_list file_ops; /* waiting to be run */
    bool files_in_flight;
    uint64_t next_generation;
    unsigned next_number;
    uint32_t next_serial, serial_limit;
    bool limit_renewing;
    bool retiring;          /* a SEGMENT_RECYCLE or SEGMENT_REMOVE is under way: one at a time, oldest first */
    int64_t segments_after; /* clock_ms(): after a failure nothing is tried before */
    bool creating;          /* a SEGMENT_CREATE is under way */
    int segment_error;      /* why the last one could not be made; 0: it could */
};

enum spool_open_status {
    SPOOL_OPENED = 0,
    SPOOL_BUSY,   /* another process has it */
    SPOOL_FAILED, /* errno; what is in *failed */
};

/*
 * Opens the spool below the descriptor (owned by the spool from now on), repairs what a crash left, and tells
 * about each message in the journal and incoming/, oldest first. deferred/ and hold/ are not read: spool_walk.
 */
enum spool_open_status spool_open(struct spool *spool, int directory, const struct spool_options *options,
                                  found_message_handler *found, void *context, const char **failed) MUST_CHECK;
void spool_close(struct spool *spool);

/* The block of count serial numbers that starts at *first. False: a renewal of the limit must reach the disk first. */
bool spool_take_serials(struct spool *spool, uint32_t count, uint32_t *first) MUST_CHECK;

/* A new operation (from malloc) with its path set. */
struct file_op *file_op_new(enum file_op_kind kind, const char *path, void (*done)(struct file_op *op));
void spool_add_file_op(struct spool *spool, struct file_op *op);
/* Moves what waits (segments, and a bounded number of files) into *ops; false when there is nothing or some are in flight. */
bool spool_take_file_ops(struct spool *spool, struct file_op_list *ops);
void spool_finish_file_ops(struct spool *spool, struct file_op_list *ops);

/* Asks for segments to be made, recycled or removed as needed. Cheap; call after each finished batch. */
void spool_upkeep(struct spool *spool);
/* Runs everything that waits, here and now, until nothing is left. */
void spool_run_all(struct spool *spool);

/* --- deferred/ and hold/ ------------------------------------------------------------- */

struct spool_walk {
    int directory;
    unsigned next; /* which directory comes next */
    void *open;    /* DIR */
    enum spool_place where;
    char path[SPOOL_PATH_SIZE];
};
struct walked_file {
    enum spool_place where;
    uint32_t serial;
    char queue_id[SPOOL_ID_SIZE];
    int64_t mtime; /* seconds */
};
void spool_walk_start(struct spool_walk *walk, int directory);
/* The next message. False at the end. Reads names and times only. */
bool spool_walk_next(struct spool_walk *walk, struct walked_file *file);
void spool_walk_stop(struct spool_walk *walk);

/* --- used by spool.c and recover.c only -------------------------------------------------- */
enum spool_open_status spool_recover(struct spool *spool, found_message_handler *found, void *context,
                                     const char **failed) MUST_CHECK;

#endif
