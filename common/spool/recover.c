/* SPDX-License-Identifier: ISC */
/*
 * recover: what a start makes of incoming/. Reads every segment, keeps what was acknowledged, drops what was
 * torn, saves what is damaged in corrupt/, and removes what an unfinished move left behind. Called by
 * spool_open() only. Its work is bounded by the number of segments, whatever deferred/ holds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/queue_protocol.h"
#include "common/spool/scan.h"
#include "common/spool/spool.h"
#include "common/spool/spool_io.h"

#define READ_STEP (1024u * 1024)
#define BLOCK_SIZE 4096u

struct old_segment {
    int fd;
    unsigned number;
    struct segment_header header;
    bool header_in_second;
    char *bytes; /* all of it */
    size_t size;
    struct scan scan;
    struct segment *segment;
    uint32_t end;
};

/* A message frame whose end has not been seen yet. */
struct live_frame {
    uint32_t serial;
    struct old_segment *from;
    const struct scan_region *region;
    struct str done; /* encoded indexes */
    UT_hash_handle hh; /* keeps the order of insertion */
};

struct recovery {
    struct spool *spool;
    struct old_segment *segments;
    size_t segment_count;
    char **files; /* names of other files in incoming/ */
    size_t file_count;
    struct live_frame *live;
    found_message_handler *found;
    void *context;
};

/* --- reading the directory ---------------------------------------------------------------- */

static bool segment_read_header(struct old_segment *old)
{
    unsigned char bytes[SEGMENT_HEADER_SIZE];
    bool good = false;
    for (off_t at = 0; at < (off_t)SEGMENT_DATA_OFFSET; at += SEGMENT_DATA_OFFSET / 2) {
        struct segment_header header;
        if (spool_io_read(old->fd, bytes, sizeof bytes, at) < 0 || !segment_header_decode(bytes, &header))
            continue;
        if (!good || header.generation > old->header.generation ||
            (header.generation == old->header.generation && (int32_t)(header.serial_limit - old->header.serial_limit) > 0)) {
            old->header = header;
            old->header_in_second = at > 0;
        }
        good = true;
    }
    return good;
}

/* A segment without a header: the creation was cut off, or both copies are damaged. */
static int segment_put_aside(struct recovery *recovery, const struct old_segment *old, const char *path)
{
    unsigned char bytes[FRAME_HEADER_SIZE];
    struct frame frame;
    char aside[SPOOL_PATH_SIZE];
    int directory = recovery->spool->directory;
    bool used = old->size >= SEGMENT_DATA_OFFSET + sizeof bytes &&
                (spool_io_read(old->fd, bytes, sizeof bytes, SEGMENT_DATA_OFFSET) < 0 ||
                 frame_header_decode(bytes, &frame) != FRAME_NONE);
    if (!used)
        return spool_io_unlink(directory, path);
    snprintf(aside, sizeof aside, "corrupt/%s", path + sizeof "incoming");
    log_warning("%s: the header of this journal segment is damaged; saved as %s", path, aside);
    return spool_io_rename(directory, path, aside);
}

/* Not by mmap: a bad sector would be a SIGBUS at every start. What cannot be read is zeros, and so damage. */
static void segment_read(const struct old_segment *old)
{
    size_t unread = 0;
    for (size_t at = 0; at < old->size; at += READ_STEP) {
        size_t len = old->size - at < READ_STEP ? old->size - at : READ_STEP;
        if (spool_io_read(old->fd, old->bytes + at, len, (off_t)at) == 0)
            continue;
        for (size_t end = at + len, block = at; block < end; block += BLOCK_SIZE) {
            size_t size = end - block < BLOCK_SIZE ? end - block : BLOCK_SIZE;
            if (spool_io_read(old->fd, old->bytes + block, size, (off_t)block) == 0)
                continue;
            memset(old->bytes + block, 0, size);
            unread += size;
        }
    }
    if (unread > 0)
        log_warning("journal segment %06u: %zu bytes cannot be read: %s", old->number, unread, strerror(errno));
}

static int recovery_add_segment(struct recovery *recovery, unsigned number)
{
    char path[SPOOL_PATH_SIZE];
    struct stat info;
    struct old_segment old = {.number = number};
    bool read_only = recovery->spool->options.read_only;
    spool_segment_path(path, number);
    old.fd = spool_io_open(recovery->spool->directory, path, read_only ? O_RDONLY : O_RDWR);
    if (old.fd < 0 || fstat(old.fd, &info) < 0)
        return -1;
    if (number >= recovery->spool->next_number)
        recovery->spool->next_number = number + 1;
    old.size = (size_t)info.st_size;
    if (old.size < SEGMENT_DATA_OFFSET || old.size > UINT32_MAX / 2 || !segment_read_header(&old)) {
        int result = read_only ? 0 : segment_put_aside(recovery, &old, path);
        close(old.fd);
        return result;
    }
    old.bytes = mem_realloc_array(NULL, old.size, 1);
    segment_read(&old);
    recovery->segments = mem_realloc_array(recovery->segments, recovery->segment_count + 1, sizeof old);
    recovery->segments[recovery->segment_count++] = old;
    return 0;
}

static int recovery_read_directory(struct recovery *recovery)
{
    int fd = spool_io_open(recovery->spool->directory, "incoming", O_RDONLY | O_DIRECTORY);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    int result = 0;
    if (directory == NULL)
        return -1;
    while (result == 0 && (entry = readdir(directory)) != NULL) {
        unsigned number;
        if (entry->d_name[0] == '.')
            continue;
        if (spool_segment_number(entry->d_name, &number)) {
            result = recovery_add_segment(recovery, number);
            continue;
        }
        recovery->files = mem_realloc_array(recovery->files, recovery->file_count + 1, sizeof *recovery->files);
        recovery->files[recovery->file_count++] = mem_strdup(entry->d_name);
    }
    closedir(directory);
    return result;
}

static int by_generation(const void *a, const void *b)
{
    const struct old_segment *x = a, *y = b;
    return (x->header.generation > y->header.generation) - (x->header.generation < y->header.generation);
}

/* --- the log ------------------------------------------------------------------------------- */

/* Saves bytes for the admin. The copy must be safe before the segment is used again. */
static int save_in_corrupt(struct spool *spool, const char *name, struct slice bytes)
{
    char path[SPOOL_PATH_SIZE];
    struct iovec piece = {(void *)(uintptr_t)bytes.data, bytes.len};
    snprintf(path, sizeof path, "corrupt/%s", name);
    int fd = spool_io_create(spool->directory, path, O_WRONLY | O_TRUNC);
    if (fd < 0)
        return -1;
    int result = spool_io_write(fd, &piece, 1, 0);
    if (result == 0)
        result = spool_io_sync(fd);
    if (spool_io_close(fd) < 0 || result < 0)
        return -1;
    return spool_io_sync_directory(spool->directory, "corrupt");
}

static int save_damage(struct recovery *recovery, const struct old_segment *old, const struct scan_region *region)
{
    char name[64];
    if (recovery->spool->options.read_only)
        return 0;
    snprintf(name, sizeof name, "journal.%06u.%" PRIu64 ".%u", old->number, old->header.generation, region->offset);
    log_warning("journal segment %06u: %u damaged bytes at %u; saved as corrupt/%s", old->number, region->size,
                region->offset, name);
    return save_in_corrupt(recovery->spool, name, slice_range(old->bytes + region->offset, region->size));
}

static void recovery_take_message(struct recovery *recovery, struct old_segment *old,
                                  const struct scan_region *region)
{
    struct live_frame *live;
    uint32_t serial = region->frame.serial;
    HASH_FIND(hh, recovery->live, &serial, sizeof serial, live);
    if (live != NULL) { /* written again after an error: the later one counts */
        live->from = old;
        live->region = region;
        return;
    }
    live = mem_alloc(sizeof *live);
    live->serial = serial;
    live->from = old;
    live->region = region;
    HASH_ADD(hh, recovery->live, serial, sizeof live->serial, live);
    if ((int32_t)(serial + 1 - recovery->spool->next_serial) > 0)
        recovery->spool->next_serial = serial + 1;
}

static void recovery_take_done(struct recovery *recovery, const struct frame *frame)
{
    struct live_frame *live;
    HASH_FIND(hh, recovery->live, &frame->serial, sizeof frame->serial, live);
    if (live == NULL)
        return;
    str_append_slice(&live->done, frame->envelope);
    if (frame->envelope.len > 0)
        return;
    HASH_DEL(recovery->live, live);
    str_free(&live->done);
    free(live);
}

static int recovery_replay(struct recovery *recovery, struct old_segment *old)
{
    for (size_t i = 0; i < old->scan.count; i++) {
        const struct scan_region *region = &old->scan.regions[i];
        if (region->kind == SCAN_DAMAGED) {
            if (save_damage(recovery, old, region) < 0)
                return -1;
        } else if (region->frame.type == FRAME_MESSAGE) {
            recovery_take_message(recovery, old, region);
        } else if (region->frame.type == FRAME_DONE) {
            recovery_take_done(recovery, &region->frame);
        }
    }
    return 0;
}

/* Newest first: a segment's frames say where the log of the one before it ended. */
static void recovery_settle(struct recovery *recovery)
{
    uint32_t known_end = 0;
    for (size_t i = recovery->segment_count; i > 0; i--) {
        struct old_segment *old = &recovery->segments[i - 1];
        segment_scan(slice_range(old->bytes, old->size), old->header.generation, &old->scan);
        old->end = scan_settle(&old->scan, known_end);
        known_end = old->scan.count > 0 ? old->scan.prior_end : 0;
    }
}

/* Segments in which no frame was ever begun are spare; the others are used until all they hold has ended. */
static void recovery_adopt(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    bool later_used = false;
    for (size_t i = recovery->segment_count; i > 0; i--) {
        struct old_segment *old = &recovery->segments[i - 1];
        later_used = later_used || old->scan.has_frames;
        old->segment = segment_new(old->fd, old->number, old->header.generation);
        old->segment->header_in_second = old->header_in_second;
        old->scan.has_frames = later_used;
    }
    for (size_t i = 0; i < recovery->segment_count; i++) {
        struct old_segment *old = &recovery->segments[i];
        if (old->scan.has_frames || old->size != spool->options.segment_size)
            journal_adopt_used(spool->journal, old->segment, old->end);
        else
            journal_add_spare(spool->journal, old->segment);
        if (old->header.generation >= spool->next_generation)
            spool->next_generation = old->header.generation + 1;
    }
}

/* --- telling about messages -------------------------------------------------------------- */

/* A move that was not finished: the journal's copy counts, the file goes. */
static int remove_leftovers(struct spool *spool, const char *queue_id, uint32_t serial)
{
    static const enum spool_place places[] = {PLACE_INCOMING, PLACE_DEFERRED, PLACE_HOLD};
    char path[SPOOL_PATH_SIZE];
    if (spool->options.read_only)
        return 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        spool_path(path, places[i], queue_id, serial);
        if (faccessat(spool->directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
            spool_io_unlink(spool->directory, path) < 0)
            return -1;
    }
    return 0;
}

static int tell_live(struct recovery *recovery, const struct live_frame *live, struct arena *arena)
{
    const struct scan_region *region = live->region;
    struct ipc_reader reader = ipc_reader_of(region->frame.envelope);
    struct envelope envelope;
    if (region->kind == SCAN_BAD_MESSAGE || !envelope_decode(&reader, arena, &envelope) ||
        strlen(envelope.queue_id) >= SPOOL_ID_SIZE)
        return save_damage(recovery, live->from, region);
    struct found_message found = {
        .where = PLACE_JOURNAL,
        .serial = live->serial,
        .frame = slice_range(live->from->bytes + region->offset, region->size),
        .segment = live->from->segment,
        .offset = region->offset,
    };
    snprintf(found.queue_id, sizeof found.queue_id, "%s", envelope.queue_id);
    uint32_t *done;
    if (!done_decode(str_slice(&live->done), arena, &done, &found.done_count))
        found.done_count = 0;
    found.done = done;
    if (remove_leftovers(recovery->spool, found.queue_id, found.serial) < 0)
        return -1;
    recovery->found(recovery->context, &found);
    return 0;
}

static int recovery_tell(struct recovery *recovery)
{
    struct live_frame *live, *next;
    struct arena *arena = arena_new();
    int result = 0;
    HASH_ITER(hh, recovery->live, live, next) {
        if (result == 0)
            result = tell_live(recovery, live, arena);
        arena_reset(arena);
        HASH_DEL(recovery->live, live);
        str_free(&live->done);
        free(live);
    }
    arena_free(arena);
    return result;
}

/* --- messages with a file of their own --------------------------------------------------- */

static int set_damaged_aside(struct spool *spool, const char *name)
{
    char path[SPOOL_PATH_SIZE], aside[SPOOL_PATH_SIZE];
    snprintf(path, sizeof path, "incoming/%s", name);
    snprintf(aside, sizeof aside, "corrupt/%s", name);
    log_warning("%s: damaged message; saved as %s", path, aside);
    return spool->options.read_only ? 0 : spool_io_rename(spool->directory, path, aside);
}

static int recovery_take_file(struct recovery *recovery, const char *name, struct arena *arena)
{
    struct spool *spool = recovery->spool;
    struct stored_message message;
    struct found_message found = {.where = PLACE_INCOMING};
    char path[SPOOL_PATH_SIZE];
    int fd;
    if (strlen(name) >= sizeof found.queue_id || !queue_id_serial(slice_of(name), &found.serial)) {
        log_warning("incoming/%s: not a file of this mail system; left alone", name);
        return 0;
    }
    snprintf(path, sizeof path, "incoming/%s", name);
    enum stored_status status = message_file_open(spool->directory, path, arena, &message, &fd);
    if (status == STORED_OK) {
        status = message_file_verify(fd, &message);
        close(fd);
        if (strcmp(message.envelope.queue_id, name) != 0)
            status = STORED_UNSEALED; /* it gets its queue id for a name before it is acknowledged */
    }
    switch (status) {
    case STORED_OK:
        if ((int32_t)(found.serial + 1 - spool->next_serial) > 0)
            spool->next_serial = found.serial + 1;
        snprintf(found.queue_id, sizeof found.queue_id, "%s", name);
        recovery->found(recovery->context, &found);
        return 0;
    case STORED_UNSEALED:
        return spool->options.read_only ? 0 : spool_io_unlink(spool->directory, path);
    case STORED_DAMAGED:
        return set_damaged_aside(spool, name);
    case STORED_FOREIGN:
        log_warning("%s: not a queue file of this mail system; left alone", path);
        return 0;
    case STORED_MISSING: /* the journal's copy counts and this one has been removed */
        return 0;
    case STORED_ERROR:
        break;
    }
    log_warning("%s: %s; left alone", path, strerror(errno));
    return 0;
}

static int recovery_take_files(struct recovery *recovery)
{
    struct arena *arena = arena_new();
    int result = 0;
    for (size_t i = 0; i < recovery->file_count; i++) {
        if (result == 0)
            result = recovery_take_file(recovery, recovery->files[i], arena);
        arena_reset(arena);
        free(recovery->files[i]);
    }
    free(recovery->files);
    arena_free(arena);
    return result;
}

/* --- all of it ------------------------------------------------------------------------------ */

static int recovery_run(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    if (recovery_read_directory(recovery) < 0)
        return -1;
    if (recovery->segment_count > 0) {
        qsort(recovery->segments, recovery->segment_count, sizeof *recovery->segments, by_generation);
        spool->next_serial = recovery->segments[0].header.serial_limit;
        for (size_t i = 1; i < recovery->segment_count; i++)
            if ((int32_t)(recovery->segments[i].header.serial_limit - spool->next_serial) > 0)
                spool->next_serial = recovery->segments[i].header.serial_limit;
    }
    recovery_settle(recovery);
    recovery_adopt(recovery);
    for (size_t i = 0; i < recovery->segment_count; i++)
        if (recovery_replay(recovery, &recovery->segments[i]) < 0)
            return -1;
    if (recovery_tell(recovery) < 0)
        return -1;
    return recovery_take_files(recovery);
}

enum spool_open_status spool_recover(struct spool *spool, found_message_handler *found, void *context,
                                     const char **failed)
{
    struct recovery recovery = {.spool = spool, .found = found, .context = context};
    int result = recovery_run(&recovery);
    int saved_errno = errno;
    for (size_t i = 0; i < recovery.segment_count; i++) {
        free(recovery.segments[i].bytes);
        scan_free(&recovery.segments[i].scan);
    }
    bool had_segments = recovery.segment_count > 0;
    free(recovery.segments);
    errno = saved_errno;
    *failed = "incoming";
    if (result < 0)
        return SPOOL_FAILED;
    if (!had_segments) /* nothing says which serials are taken: ask the files */
        spool->next_serial = 0;
    return SPOOL_OPENED;
}
