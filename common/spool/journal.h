/* SPDX-License-Identifier: ISC */
/*
 * The journal: preallocated segments in incoming/ to which frames are appended, many by one write and one
 * sync. Three steps, so that the disk's part can run in a thread of its own: journal_take() plans a batch,
 * journal_batch_run() writes and syncs it and touches nothing else, journal_finish() tells the entries.
 *
 * Segments are used and recycled strictly in the order of their generations: a DONE frame always outlives
 * the MESSAGE frame it speaks of.
 */
#ifndef POSTHORN_SPOOL_JOURNAL_H
#define POSTHORN_SPOOL_JOURNAL_H

#include <sys/queue.h>

#include "common/spool/frame.h"

#define SEGMENT_SIZE (16u * 1024 * 1024)
#define BATCH_MOST_ENTRIES 1000u

struct journal;
struct journal_batch;

/* Where a message is in the journal. Embedded in whatever stands for the message while it is there. */
struct journal_place {
    struct segment *segment; /* NULL: not in the journal */
    uint32_t offset, size;
    bool ending;             /* its DONE frame is on its way */
    TAILQ_ENTRY(journal_place) link;
};
TAILQ_HEAD(journal_places, journal_place);

struct segment {
    TAILQ_ENTRY(segment) link;
    int fd;
    unsigned number;
    uint64_t generation;
    uint32_t end;               /* of what has been written */
    bool header_in_second;      /* which of the two header blocks is the valid one */
    struct journal_places live; /* messages whose end has not been recorded, oldest first */
    size_t live_count;
};
TAILQ_HEAD(segments, segment);

/* A frame on its way to stable storage. */
struct journal_entry {
    TAILQ_ENTRY(journal_entry) link;
    unsigned char *frame; /* in one piece; stays the caller's, untouched until durable() */
    uint32_t size;
    bool urgent; /* somebody waits: sync at once. Otherwise errors are retried and never reported. */
    struct journal_place *place; /* of a MESSAGE: filled in; of the last DONE: given up when durable */
    bool ends_message;
    void (*durable)(struct journal_entry *entry, int error); /* on the loop's thread; error: an errno or 0 */
};
TAILQ_HEAD(journal_entries, journal_entry);

struct journal *journal_new(uint32_t segment_size);
/* Closes descriptors; nothing may be in flight. Entries that still wait are dropped. */
void journal_free(struct journal *journal);

/* The longest frame that journal_add() takes. */
size_t journal_largest_frame(const struct journal *journal);
void journal_add(struct journal *journal, struct journal_entry *entry);
/* True while something is not yet on stable storage. */
bool journal_is_dirty(const struct journal *journal);
bool journal_has_urgent(const struct journal *journal);
/* True when entries wait to be written at all. */
bool journal_has_waiting(const struct journal *journal);

/* The next batch, synced when an entry is urgent or `sync` says so. NULL: nothing to do, one is in flight, or no
 * segment has room (journal_is_starved). */
struct journal_batch *journal_take(struct journal *journal, bool sync);
void journal_batch_run(struct journal_batch *batch);
void journal_finish(struct journal *journal, struct journal_batch *batch);
/* No segment could be made: urgent entries are told. */
void journal_fail_waiting(struct journal *journal, int error);
bool journal_is_starved(const struct journal *journal);

/* --- segments ------------------------------------------------------------------------- */

/* An empty segment whose header is on stable storage. */
void journal_add_spare(struct journal *journal, struct segment *segment);
size_t journal_spare_count(const struct journal *journal);
size_t journal_used_count(const struct journal *journal);
/* Takes the oldest segment out when all its messages have ended. NULL: none. */
struct segment *journal_take_recyclable(struct journal *journal);
/* Puts it back: it could not be recycled. */
void journal_return_recyclable(struct journal *journal, struct segment *segment);
/* The oldest segment, unless it is the one being written. */
struct segment *journal_oldest(struct journal *journal);

/* The one with the highest generation. */
struct segment *journal_newest(struct journal *journal);

/* At start-up: a segment with live messages, in the order of generations; prior_end for the first frame. */
void journal_adopt_used(struct journal *journal, struct segment *segment, uint32_t end);
void journal_place_set(struct journal_place *place, struct segment *segment, uint32_t offset, uint32_t size);
/* The message ends: `to`, next to its DONE frame, keeps the place from now on; `from` is empty. */
void journal_place_move(struct journal_place *from, struct journal_place *to);
void journal_place_release(struct journal_place *place);

struct segment *segment_new(int fd, unsigned number, uint64_t generation);
void segment_free(struct segment *segment);

#endif
