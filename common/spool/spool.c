/* SPDX-License-Identifier: ISC */
/*
 * spool: opening and closing, serial numbers, the supply of segments, and the queue of file operations. The
 * queue role and the offline commands call it; needs the right to write below the queue directory.
 */
#include "common/spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/queue_protocol.h"
#include "common/spool/spool_io.h"

#define MOST_FILES_AT_ONCE 256 /* each is open until the sync */
#define SERIAL_MARGIN 65536u  /* serials that a segment header promises ahead */
#define SERIAL_RENEW 32768u   /* left of them when the promise is renewed */
#define SEGMENT_RETRY_MS 1000

/* --- file operations ------------------------------------------------------------------ */

struct file_op *file_op_new(enum file_op_kind kind, const char *path, void (*done)(struct file_op *op))
{
    struct file_op *op = mem_alloc(sizeof *op);
    op->kind = kind;
    op->fd = -1;
    op->done = done;
    snprintf(op->path, sizeof op->path, "%s", path);
    return op;
}

void spool_add_file_op(struct spool *spool, struct file_op *op)
{
    TAILQ_INSERT_TAIL(&spool->file_ops, op, link);
}

/* Segments go first: the journal must not wait behind a wave of deferrals. */
bool spool_take_file_ops(struct spool *spool, struct file_op_list *ops)
{
    size_t files = 0;
    struct file_op *op, *next;
    if (spool->files_in_flight || TAILQ_EMPTY(&spool->file_ops))
        return false;
    TAILQ_INIT(ops);
    for (op = TAILQ_FIRST(&spool->file_ops); op != NULL; op = next) {
        next = TAILQ_NEXT(op, link);
        if (!file_op_is_segment(op) && ++files > MOST_FILES_AT_ONCE)
            continue;
        TAILQ_REMOVE(&spool->file_ops, op, link);
        TAILQ_INSERT_TAIL(ops, op, link);
    }
    spool->files_in_flight = true;
    return true;
}

/* --- segments -------------------------------------------------------------------------- */

/* What a segment operation is about, next to it. */
struct segment_op {
    struct file_op op; /* first */
    struct segment *segment;
    uint32_t serial_limit;
    uint64_t old_generation;
    bool renewal;
};

static struct segment_op *segment_op_new(struct spool *spool, enum file_op_kind kind, struct segment *segment)
{
    struct segment_op *op = mem_alloc(sizeof *op);
    struct segment_header header = {.generation = segment->generation,
                                    .serial_limit = spool->next_serial + SERIAL_MARGIN,
                                    .time_us = wall_us()};
    op->segment = segment;
    op->op.kind = kind;
    op->op.segment_size = spool->options.segment_size;
    op->op.fd = kind == SEGMENT_RECYCLE ? segment->fd : -1;
    op->serial_limit = header.serial_limit;
    segment_header_encode(&header, op->op.header);
    /* Two copies in turn: a torn write leaves the one that is valid now. */
    op->op.header_offset = segment->header_in_second || kind == SEGMENT_CREATE ? 0 : SEGMENT_DATA_OFFSET / 2;
    spool_segment_path(op->op.path, segment->number);
    return op;
}

static void spool_segment_failed(struct spool *spool, const struct segment_op *op)
{
    log_warning("%s: %s", op->op.path, strerror(op->op.error));
    spool->segment_error = op->op.error;
    spool->segments_after = deadline_in_ms(SEGMENT_RETRY_MS);
}

/* A segment that could not be recycled stays the oldest: none after it may go before it is gone. */
static void spool_retired(struct spool *spool, struct segment_op *op)
{
    spool->retiring = false;
    if (op->op.error != 0) {
        op->segment->generation = op->old_generation;
        journal_return_recyclable(spool->journal, op->segment);
    } else if (op->op.kind == SEGMENT_REMOVE) {
        segment_free(op->segment);
    } else {
        op->segment->header_in_second = op->op.header_offset > 0;
        journal_add_spare(spool->journal, op->segment);
    }
}

static void segment_op_finish(struct spool *spool, struct segment_op *op)
{
    if (op->op.error != 0)
        spool_segment_failed(spool, op);
    else if (op->op.kind != SEGMENT_REMOVE && (int32_t)(op->serial_limit - spool->serial_limit) > 0)
        spool->serial_limit = op->serial_limit;
    if (op->renewal) {
        spool->limit_renewing = false;
        op->segment->header_in_second = op->op.header_offset > 0;
    } else if (op->op.kind != SEGMENT_CREATE) {
        spool_retired(spool, op);
    } else {
        spool->creating = false;
        op->segment->fd = op->op.fd;
        if (op->op.error != 0) {
            segment_free(op->segment);
        } else {
            spool->segment_error = 0;
            journal_add_spare(spool->journal, op->segment);
        }
    }
    free(op);
}

static void spool_create_segment(struct spool *spool)
{
    struct segment *segment = segment_new(-1, spool->next_number++, spool->next_generation++);
    struct segment_op *op = segment_op_new(spool, SEGMENT_CREATE, segment);
    spool->creating = true;
    spool_add_file_op(spool, &op->op);
}

static void spool_retire_segment(struct spool *spool, struct segment *segment)
{
    struct stat info;
    bool usable = fstat(segment->fd, &info) == 0 && info.st_size == (off_t)spool->options.segment_size;
    bool keep = usable && journal_spare_count(spool->journal) < spool->options.most_spare;
    uint64_t old_generation = segment->generation;
    if (keep)
        segment->generation = spool->next_generation++;
    struct segment_op *op = segment_op_new(spool, keep ? SEGMENT_RECYCLE : SEGMENT_REMOVE, segment);
    op->old_generation = old_generation;
    spool->retiring = true;
    spool_add_file_op(spool, &op->op);
}

/* Promises more serials in the header of the newest segment. */
static void spool_renew_limit(struct spool *spool)
{
    struct segment *newest = journal_newest(spool->journal);
    if (newest == NULL)
        return;
    struct segment_op *op = segment_op_new(spool, SEGMENT_RECYCLE, newest);
    op->renewal = true;
    spool->limit_renewing = true;
    spool_add_file_op(spool, &op->op);
}

void spool_upkeep(struct spool *spool)
{
    struct segment *segment;
    bool may_try = spool->segment_error == 0 || clock_ms() >= spool->segments_after;
    if (spool->options.read_only)
        return;
    if (may_try && !spool->retiring && !spool->limit_renewing &&
        (segment = journal_take_recyclable(spool->journal)) != NULL)
        spool_retire_segment(spool, segment);
    if (may_try && !spool->creating && !spool->retiring && journal_spare_count(spool->journal) == 0)
        spool_create_segment(spool);
    if (may_try && !spool->creating && !spool->retiring && !spool->limit_renewing && /* the newest must know most */
        (int32_t)(spool->serial_limit - spool->next_serial) < (int32_t)SERIAL_RENEW)
        spool_renew_limit(spool);
    if (journal_is_starved(spool->journal) && spool->segment_error != 0 && !spool->creating && !spool->retiring)
        journal_fail_waiting(spool->journal, spool->segment_error);
}

void spool_finish_file_ops(struct spool *spool, struct file_op_list *ops)
{
    struct file_op *op;
    spool->files_in_flight = false;
    while ((op = TAILQ_FIRST(ops)) != NULL) {
        TAILQ_REMOVE(ops, op, link);
        if (op->kind >= SEGMENT_CREATE)
            segment_op_finish(spool, (struct segment_op *)op);
        else
            op->done(op);
    }
}

void spool_run_all(struct spool *spool)
{
    struct journal_batch *batch;
    struct file_op_list ops;
    bool busy = true;
    for (int round = 0; busy && round < 1000; round++) {
        busy = false;
        spool_upkeep(spool);
        while ((batch = journal_take(spool->journal, true)) != NULL) {
            journal_batch_run(batch);
            journal_finish(spool->journal, batch);
            busy = true;
        }
        if (spool_take_file_ops(spool, &ops)) {
            file_ops_run(spool->directory, &ops);
            spool_finish_file_ops(spool, &ops);
            busy = true;
        }
        if (spool->segment_error != 0)
            break;
    }
}

/* --- serial numbers ------------------------------------------------------------------------ */

bool spool_take_serials(struct spool *spool, uint32_t count, uint32_t *first)
{
    if ((int32_t)(spool->serial_limit - spool->next_serial) < (int32_t)count) {
        spool_upkeep(spool);
        return false;
    }
    *first = spool->next_serial;
    spool->next_serial += count;
    return true;
}

static void spool_find_serials(struct spool *spool)
{
    struct spool_walk walk;
    struct walked_file file;
    spool_walk_start(&walk, spool->directory);
    while (spool_walk_next(&walk, &file))
        if ((int32_t)(file.serial + 1 - spool->next_serial) > 0)
            spool->next_serial = file.serial + 1;
    spool_walk_stop(&walk);
}

/* --- opening and closing ------------------------------------------------------------------ */

/* Of a new spool it is seen at once whether a segment can be made. An empty one is removed by the next start. */
static bool spool_can_create(const struct spool *spool)
{
    char path[SPOOL_PATH_SIZE];
    spool_segment_path(path, spool->next_number);
    int fd = spool_io_create(spool->directory, path, O_RDWR);
    return fd >= 0 && spool_io_close(fd) == 0;
}

enum spool_open_status spool_open(struct spool *spool, int directory, const struct spool_options *options,
                                  found_message_handler *found, void *context, const char **failed)
{
    *spool = (struct spool){.directory = directory, .lock = -1, .options = *options, .next_generation = 1};
    TAILQ_INIT(&spool->file_ops);
    spool->journal = journal_new(options->segment_size);
    *failed = "incoming";
    if (!options->read_only) {
        if (spool_make_directories(directory, failed) < 0)
            return SPOOL_FAILED;
        spool->lock = spool_io_open(directory, "incoming", O_RDONLY | O_DIRECTORY);
        if (spool->lock < 0)
            return SPOOL_FAILED;
        if (flock(spool->lock, LOCK_EX | LOCK_NB) < 0)
            return errno == EWOULDBLOCK ? SPOOL_BUSY : SPOOL_FAILED;
    }
    enum spool_open_status status = spool_recover(spool, found, context, failed);
    if (status != SPOOL_OPENED || options->read_only)
        return status;
    if (spool->next_serial == 0)
        spool_find_serials(spool);
    if (spool->next_serial == 0)
        spool->next_serial = 1;
    spool->serial_limit = spool->next_serial; /* nothing is promised yet */
    /* Filling and syncing the first segment takes as long as all of a start; mail that comes meanwhile waits for it. */
    if (options->fill_later && spool->next_number == 0 && spool_can_create(spool))
        return SPOOL_OPENED;
    spool_run_all(spool);
    /* A full disk takes no new mail, but what is here may be delivered, or deleted, and make room. */
    if (spool->segment_error == 0 || spool->segment_error == ENOSPC || spool->segment_error == EDQUOT)
        return SPOOL_OPENED;
    errno = spool->segment_error;
    return SPOOL_FAILED;
}

void spool_close(struct spool *spool)
{
    journal_free(spool->journal);
    if (spool->lock >= 0)
        close(spool->lock);
    if (spool->directory >= 0)
        close(spool->directory);
    spool->lock = spool->directory = -1;
}

/* --- deferred/ and hold/ ---------------------------------------------------------------- */

void spool_walk_start(struct spool_walk *walk, int directory)
{
    *walk = (struct spool_walk){.directory = directory};
}

static bool walk_open_next(struct spool_walk *walk)
{
    if (walk->next > DEFERRED_DIRECTORIES)
        return false;
    walk->where = walk->next < DEFERRED_DIRECTORIES ? PLACE_DEFERRED : PLACE_HOLD;
    spool_directory(walk->path, walk->where, walk->next++);
    int fd = spool_io_open(walk->directory, walk->path, O_RDONLY | O_DIRECTORY);
    walk->open = fd >= 0 ? fdopendir(fd) : NULL;
    if (walk->open == NULL)
        log_warning("%s: %s", walk->path, strerror(errno));
    return true;
}

static bool walk_take(struct spool_walk *walk, const char *name, struct walked_file *file)
{
    struct stat info;
    size_t len = strlen(name);
    if (name[0] == '.' || len >= sizeof file->queue_id || !queue_id_serial(slice_of(name), &file->serial))
        return false;
    if (fstatat(dirfd(walk->open), name, &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(info.st_mode))
        return false;
    file->where = walk->where;
    file->mtime = info.st_mtime;
    memcpy(file->queue_id, name, len + 1);
    return true;
}

bool spool_walk_next(struct spool_walk *walk, struct walked_file *file)
{
    for (;;) {
        if (walk->open == NULL && !walk_open_next(walk))
            return false;
        struct dirent *entry;
        while (walk->open != NULL && (entry = readdir(walk->open)) != NULL)
            if (walk_take(walk, entry->d_name, file))
                return true;
        spool_walk_stop(walk);
    }
}

void spool_walk_stop(struct spool_walk *walk)
{
    if (walk->open != NULL)
        closedir(walk->open);
    walk->open = NULL;
}
