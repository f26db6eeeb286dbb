/* SPDX-License-Identifier: ISC */
/*
 * journal: plans batches of frames, and keeps track of which segment holds what. Used by the queue and by
 * commands on a stopped queue. A batch that fails is told to whoever waits; its segment is not
 * written again, because after a failed sync nobody knows what is on the disk.
 */
#include "common/spool/journal.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"

struct journal_batch {
    struct journal_entries entries;
    struct segment *segment;
    int also_sync; /* a segment that was left with unsynced frames, or -1 */
    uint32_t offset;
    bool sync;
    int error;
    int count;
    struct iovec pieces[BATCH_MOST_ENTRIES];
};

struct journal {
    uint32_t segment_size;
    struct journal_entries waiting; /* to be written */
    size_t urgent_count;            /* of waiting */
    struct journal_entries written; /* not yet synced */
    struct segments used;           /* oldest first; the last one is being written unless `closed` */
    struct segments spare;          /* in the order of generations */
    size_t used_count, spare_count;
    struct segment *current; /* NULL: take a spare one */
    uint32_t synced_end;     /* of current */
    uint32_t prior_end;      /* where the log ended before current */
    int unsynced_fd;         /* a segment before current has unsynced frames; -1: none */
    bool starved;
    struct journal_batch *in_flight;
};

struct journal *journal_new(uint32_t segment_size)
{
    struct journal *journal = mem_alloc(sizeof *journal);
    journal->segment_size = segment_size;
    journal->unsynced_fd = -1;
    TAILQ_INIT(&journal->waiting);
    TAILQ_INIT(&journal->written);
    TAILQ_INIT(&journal->used);
    TAILQ_INIT(&journal->spare);
    return journal;
}

static void segments_free(struct segments *segments)
{
    struct segment *segment;
    while ((segment = TAILQ_FIRST(segments)) != NULL) {
        TAILQ_REMOVE(segments, segment, link);
        segment_free(segment);
    }
}

void journal_free(struct journal *journal)
{
    segments_free(&journal->used);
    segments_free(&journal->spare);
    free(journal);
}

size_t journal_largest_frame(const struct journal *journal)
{
    return (journal->segment_size - SEGMENT_DATA_OFFSET) / 4;
}

bool journal_is_dirty(const struct journal *journal)
{
    return journal->in_flight != NULL || !TAILQ_EMPTY(&journal->waiting) || !TAILQ_EMPTY(&journal->written);
}

bool journal_has_urgent(const struct journal *journal) { return journal->urgent_count > 0; }
bool journal_has_waiting(const struct journal *journal) { return !TAILQ_EMPTY(&journal->waiting); }
bool journal_is_starved(const struct journal *journal) { return journal->starved; }
size_t journal_spare_count(const struct journal *journal) { return journal->spare_count; }
size_t journal_used_count(const struct journal *journal) { return journal->used_count; }

void journal_add(struct journal *journal, struct journal_entry *entry)
{
    if (entry->size > journal_largest_frame(journal))
        log_panic("journal: a frame of %u bytes is too long", entry->size);
    TAILQ_INSERT_TAIL(&journal->waiting, entry, link);
    journal->urgent_count += entry->urgent;
}

/* --- planning -------------------------------------------------------------------------- */

/* How many waiting entries the batch takes, and how many bytes they are. */
static size_t journal_batch_size(const struct journal *journal, uint32_t *bytes)
{
    const uint32_t room = journal->segment_size - SEGMENT_DATA_OFFSET;
    const struct journal_entry *entry;
    size_t count = 0;
    *bytes = 0;
    TAILQ_FOREACH(entry, &journal->waiting, link) {
        if (count == BATCH_MOST_ENTRIES || *bytes + entry->size > room / 2)
            break;
        *bytes += entry->size;
        count++;
    }
    return count;
}

/* Makes sure that the current segment has room. False: there is none. */
static bool journal_find_room(struct journal *journal, uint32_t bytes)
{
    struct segment *current = journal->current;
    if (current != NULL && journal->segment_size - current->end >= bytes)
        return true;
    struct segment *next = TAILQ_FIRST(&journal->spare);
    journal->starved = next == NULL;
    if (next == NULL)
        return false;
    if (current != NULL) {
        journal->prior_end = current->end;
        if (!TAILQ_EMPTY(&journal->written))
            journal->unsynced_fd = current->fd;
    }
    TAILQ_REMOVE(&journal->spare, next, link);
    journal->spare_count--;
    TAILQ_INSERT_TAIL(&journal->used, next, link);
    journal->used_count++;
    journal->current = next;
    journal->synced_end = SEGMENT_DATA_OFFSET;
    return true;
}

static void journal_plan_entry(struct journal *journal, struct journal_batch *batch, struct journal_entry *entry)
{
    struct segment *segment = journal->current;
    TAILQ_REMOVE(&journal->waiting, entry, link);
    journal->urgent_count -= entry->urgent;
    batch->sync = batch->sync || entry->urgent;
    frame_place(entry->frame, segment->generation, journal->synced_end, journal->prior_end);
    batch->pieces[batch->count++] = (struct iovec){entry->frame, entry->size};
    if (entry->place != NULL && !entry->ends_message)
        journal_place_set(entry->place, segment, segment->end, entry->size);
    segment->end += entry->size;
    TAILQ_INSERT_TAIL(&batch->entries, entry, link);
}

struct journal_batch *journal_take(struct journal *journal, bool sync)
{
    uint32_t bytes;
    size_t count = journal_batch_size(journal, &bytes);
    bool unsynced = !TAILQ_EMPTY(&journal->written);
    if (journal->in_flight != NULL || (count == 0 && !(sync && unsynced)))
        return NULL;
    if (count > 0 && !journal_find_room(journal, bytes))
        return NULL;
    struct journal_batch *batch = mem_realloc_array(NULL, 1, sizeof *batch);
    TAILQ_INIT(&batch->entries);
    batch->segment = journal->current;
    batch->offset = journal->current->end;
    batch->also_sync = journal->unsynced_fd;
    batch->sync = sync;
    batch->error = 0;
    batch->count = 0;
    for (size_t i = 0; i < count; i++)
        journal_plan_entry(journal, batch, TAILQ_FIRST(&journal->waiting));
    journal->in_flight = batch;
    return batch;
}

/* --- the disk's part: any thread --------------------------------------------------------- */

void journal_batch_run(struct journal_batch *batch)
{
    int fd = batch->segment->fd;
    int result = 0;
    if (batch->count > 0)
        result = spool_io_write(fd, batch->pieces, batch->count, batch->offset);
    if (result == 0 && batch->sync && batch->also_sync >= 0)
        result = spool_io_sync_data(batch->also_sync);
    if (result == 0 && batch->sync)
        result = spool_io_sync_data(fd);
    batch->error = result < 0 ? errno : 0;
}

/* --- telling ------------------------------------------------------------------------------ */

static void journal_tell(struct journal_entry *entry, int error)
{
    if (error == 0 && entry->ends_message && entry->place != NULL)
        journal_place_release(entry->place);
    if (error != 0 && !entry->ends_message && entry->place != NULL)
        journal_place_release(entry->place);
    if (entry->durable != NULL)
        entry->durable(entry, error);
}

static void journal_tell_all(struct journal_entries *entries)
{
    struct journal_entry *entry;
    while ((entry = TAILQ_FIRST(entries)) != NULL) {
        TAILQ_REMOVE(entries, entry, link);
        journal_tell(entry, 0);
    }
}

/* Whoever waits is told; what nobody waits for goes back in front, in its order. */
static void journal_fail(struct journal *journal, struct journal_entries *entries, int error)
{
    struct journal_entry *entry;
    struct journal_entries urgent = TAILQ_HEAD_INITIALIZER(urgent);
    while ((entry = TAILQ_LAST(entries, journal_entries)) != NULL) {
        TAILQ_REMOVE(entries, entry, link);
        if (entry->urgent)
            TAILQ_INSERT_HEAD(&urgent, entry, link);
        else
            TAILQ_INSERT_HEAD(&journal->waiting, entry, link);
    }
    while ((entry = TAILQ_FIRST(&urgent)) != NULL) {
        TAILQ_REMOVE(&urgent, entry, link);
        journal_tell(entry, error);
    }
}

void journal_finish(struct journal *journal, struct journal_batch *batch)
{
    struct journal_entries done = TAILQ_HEAD_INITIALIZER(done);
    journal->in_flight = NULL;
    TAILQ_CONCAT(&done, &journal->written, link);
    TAILQ_CONCAT(&done, &batch->entries, link);
    if (batch->error != 0) {
        log_warning("journal segment %06u: %s", batch->segment->number, strerror(batch->error));
        /* The log ends where it was surely good; what follows is not read after a restart. */
        journal->prior_end = journal->synced_end;
        journal->current = NULL;
        journal->unsynced_fd = -1;
        journal_fail(journal, &done, batch->error);
    } else if (!batch->sync) {
        TAILQ_CONCAT(&journal->written, &done, link);
    } else {
        journal->synced_end = journal->current->end;
        journal->unsynced_fd = -1;
        journal_tell_all(&done);
    }
    free(batch);
}

void journal_fail_waiting(struct journal *journal, int error)
{
    struct journal_entries waiting = TAILQ_HEAD_INITIALIZER(waiting);
    TAILQ_CONCAT(&waiting, &journal->waiting, link);
    journal->urgent_count = 0;
    journal_fail(journal, &waiting, error);
}

/* --- segments ------------------------------------------------------------------------- */

void journal_add_spare(struct journal *journal, struct segment *segment)
{
    segment->end = SEGMENT_DATA_OFFSET;
    TAILQ_INSERT_TAIL(&journal->spare, segment, link);
    journal->spare_count++;
    journal->starved = false;
}

void journal_adopt_used(struct journal *journal, struct segment *segment, uint32_t end)
{
    segment->end = end;
    TAILQ_INSERT_TAIL(&journal->used, segment, link);
    journal->used_count++;
    journal->prior_end = end;
}

struct segment *journal_oldest(struct journal *journal)
{
    struct segment *oldest = TAILQ_FIRST(&journal->used);
    return oldest == journal->current ? NULL : oldest;
}

struct segment *journal_newest(struct journal *journal)
{
    struct segment *spare = TAILQ_LAST(&journal->spare, segments);
    return spare != NULL ? spare : TAILQ_LAST(&journal->used, segments);
}

struct segment *journal_take_recyclable(struct journal *journal)
{
    struct segment *oldest = journal_oldest(journal);
    bool busy = oldest == NULL || oldest->live_count > 0 ||
                (journal->in_flight != NULL && journal->in_flight->segment == oldest) ||
                journal->unsynced_fd == oldest->fd;
    if (busy)
        return NULL;
    /* Its DONE frames speak of itself and of older segments, which are gone. */
    TAILQ_REMOVE(&journal->used, oldest, link);
    journal->used_count--;
    return oldest;
}

void journal_return_recyclable(struct journal *journal, struct segment *segment)
{
    TAILQ_INSERT_HEAD(&journal->used, segment, link);
    journal->used_count++;
}

void journal_place_set(struct journal_place *place, struct segment *segment, uint32_t offset, uint32_t size)
{
    place->segment = segment;
    place->offset = offset;
    place->size = size;
    TAILQ_INSERT_TAIL(&segment->live, place, link);
    segment->live_count++;
}

void journal_place_move(struct journal_place *from, struct journal_place *to)
{
    *to = *from;
    to->ending = true;
    if (from->segment != NULL) {
        TAILQ_INSERT_BEFORE(from, to, link);
        TAILQ_REMOVE(&from->segment->live, from, link);
    }
    from->segment = NULL;
}

void journal_place_release(struct journal_place *place)
{
    struct segment *segment = place->segment;
    if (segment == NULL)
        return;
    TAILQ_REMOVE(&segment->live, place, link);
    segment->live_count--;
    place->segment = NULL;
}

struct segment *segment_new(int fd, unsigned number, uint64_t generation)
{
    struct segment *segment = mem_alloc(sizeof *segment);
    segment->fd = fd;
    segment->number = number;
    segment->generation = generation;
    segment->end = SEGMENT_DATA_OFFSET;
    TAILQ_INIT(&segment->live);
    return segment;
}

void segment_free(struct segment *segment)
{
    if (segment->fd >= 0 && spool_io_close(segment->fd) < 0)
        log_warning("journal segment %06u: %s", segment->number, strerror(errno));
    free(segment);
}
