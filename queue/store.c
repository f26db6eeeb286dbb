/* SPDX-License-Identifier: ISC */
/*
 * store: writes down what became of a message. One that is done leaves a DONE frame or loses its file; one
 * that must wait moves from the journal into a file of its own, and only when that is on stable storage does
 * the journal forget it. A write that fails leaves the message where it was, to be tried again.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"
#include "queue/queue.h"

#define MOST_REASON_GROWTH (32u * 1024 * 1024) /* behind a message's content, over all its attempts */

/* A DONE frame under way. It outlives the message. */
struct ending {
    struct journal_entry entry; /* first */
    struct journal_place place;
    unsigned char frame[FRAME_HEADER_SIZE];
};

/* A change to a message's file under way. */
struct store_op {
    struct file_op op; /* first */
    struct message *message;
    enum spool_place where;
    int64_t retry_at;
    char *block; /* the header block of a new file */
    struct str envelope, state;
    uint64_t file_end;
};

/* --- the journal ----------------------------------------------------------------------- */

static void ending_durable(struct journal_entry *entry, int error UNUSED)
{
    free(entry);
}

/* The message leaves the journal; its place stays occupied until that is on stable storage. */
static void journal_end(struct active *active)
{
    struct ending *ending = mem_realloc_array(NULL, 1, sizeof *ending);
    struct frame frame = {.type = FRAME_DONE, .serial = active->message->serial, .time_us = wall_us()};
    frame_seal(&frame, SLICE(""), ending->frame);
    journal_place_move(&active->place, &ending->place);
    ending->entry = (struct journal_entry){.frame = ending->frame, .size = FRAME_HEADER_SIZE, .ends_message = true,
                                           .place = &ending->place, .durable = ending_durable};
    journal_add(spool.journal, &ending->entry);
}

/* Some recipients are settled and the message stays in the journal. */
static void journal_note_done(struct active *active)
{
    struct str body = STR_EMPTY, out = STR_EMPTY;
    for (uint32_t i = 0; i < active->envelope.recipient_count; i++)
        if (active->recipients[i].done && active->targets[i].changed)
            done_encode(&i, 1, &body);
    if (body.len > 0 && body.len < journal_largest_frame(spool.journal) / 2) {
        struct frame frame = {.type = FRAME_DONE, .serial = active->message->serial, .time_us = wall_us()};
        str_append_bytes(&out, &(struct journal_entry){0}, sizeof(struct journal_entry));
        frame_append(&frame, str_slice(&body), &out);
        struct journal_entry *entry = (struct journal_entry *)(void *)out.data;
        entry->frame = (unsigned char *)out.data + sizeof *entry;
        entry->size = (uint32_t)(out.len - sizeof *entry);
        entry->durable = ending_durable;
        journal_add(spool.journal, entry);
    }
    str_free(&body);
}

/* --- letting go of memory ------------------------------------------------------------------ */

static void store_leave_active(struct active *active)
{
    if (active->counted)
        schedule_left_active();
    active->counted = false;
}

static void store_unload(struct message *message)
{
    if (message->active == NULL)
        return;
    store_leave_active(message->active);
    active_free(message->active);
}

/* A message that stays in memory begins its next attempt afresh. What has not been written down stays marked. */
static void store_begin_again(struct active *active)
{
    for (size_t i = 0; i < active->envelope.recipient_count; i++)
        active->targets[i].outcome = OUTCOME_NONE;
    active->routed = active->corrupt = false;
    active->jobs = 0;
    store_leave_active(active);
}

/* The same for one that could not leave the journal, where all that is known of it is written at once. */
static void store_reset(struct active *active)
{
    memset(active->targets, 0, active->envelope.recipient_count * sizeof *active->targets);
    store_begin_again(active);
}

/* --- operations on files ----------------------------------------------------------------------- */

static struct store_op *store_op_new(struct message *message, enum file_op_kind kind, enum spool_place where,
                                     int64_t retry_at, void (*done)(struct file_op *op))
{
    struct store_op *op = mem_alloc(sizeof *op);
    op->op.kind = kind;
    op->op.fd = -1;
    op->op.done = done;
    op->op.sync = true;
    op->op.mtime = retry_at > 0 ? retry_at : wall_us() / 1000000;
    op->message = message;
    op->where = where;
    op->retry_at = retry_at;
    spool_path(op->op.path, kind == FILE_CREATE ? where : message->where, message->queue_id, message->serial);
    if (kind != FILE_CREATE && where != message->where)
        spool_path(op->op.new_path, where, message->queue_id, message->serial);
    return op;
}

static void store_op_free(struct store_op *op)
{
    free(op->block);
    str_free(&op->envelope);
    str_free(&op->state);
    free(op);
}

static void store_op_piece(struct store_op *op, struct slice bytes)
{
    op->op.pieces[op->op.piece_count++] = (struct iovec){(void *)(uintptr_t)bytes.data, bytes.len};
}

/* Fills in a whole file: header block, content, envelope, padding, state. */
static bool store_op_fill(struct store_op *op, struct active *active)
{
    static const char padding[8];
    struct message *message = op->message;
    if (!active_load_content(active))
        return false;
    op->block = mem_alloc(FILE_CONTENT_OFFSET);
    envelope_encode(&active->envelope, &op->envelope);
    message_file_header(message->serial, active->envelope.arrival_us, active->content_size, active->content_hash,
                        str_slice(&op->envelope), (unsigned char *)op->block);
    message_state_frames(message->serial, active->recipients, active->envelope.recipient_count,
                         active->retry_flags, &op->state);
    op->file_end = frame_file_end(active->content_size, (uint32_t)op->envelope.len);
    store_op_piece(op, slice_range(op->block, FILE_CONTENT_OFFSET));
    store_op_piece(op, active->content);
    store_op_piece(op, str_slice(&op->envelope));
    store_op_piece(op, slice_range(padding, op->file_end - FILE_CONTENT_OFFSET - active->content.len - op->envelope.len));
    store_op_piece(op, str_slice(&op->state));
    op->file_end += op->state.len;
    return true;
}

/* --- removing ------------------------------------------------------------------------------- */

static void store_removed(struct file_op *file)
{
    struct store_op *op = (struct store_op *)file;
    if (file->error != 0)
        log_warning("%s: cannot remove: %s", file->path, strerror(file->error));
    message_free(op->message);
    store_op_free(op);
}

void store_remove(struct message *message)
{
    message->state = MESSAGE_SETTLING;
    if (message->where == PLACE_JOURNAL) {
        journal_end(message->active);
        store_unload(message);
        message_free(message);
    } else { /* in the table until the file is gone, or the background load could find it again */
        store_unload(message);
        spool_add_file_op(&spool, &store_op_new(message, FILE_REMOVE, (enum spool_place)message->where, 0, store_removed)->op);
    }
    disk_kick();
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Where it is now, it waits; then an admin's wishes that came meanwhile. */
static void store_settled(struct message *message, int64_t retry_at, bool moved)
{
    if (message->where == PLACE_HOLD)
        schedule_hold(message);
    else
        schedule_wait(message, message->wishes & WISH_RETRY ? 0 : retry_at);
    message->wishes &= (uint8_t)~WISH_RETRY;
    if ((message->wishes & WISH_DELETE) != 0 || (moved && message->wishes != 0)) /* never again and again */
        (void)settle_wishes(message);
}

/* It stays where it is for now. What was to be held is not delivered instead: its next turn tries that again. */
static void store_failed(struct store_op *op)
{
    if (op->where == PLACE_HOLD && op->message->where != PLACE_HOLD) {
        op->message->wishes |= WISH_HOLD;
        op->retry_at = 0;
    }
    if (op->retry_at == 0)
        op->retry_at = wall_us() / 1000000 + settings.minimal_backoff;
}

static void store_moved(struct file_op *file)
{
    struct store_op *op = (struct store_op *)file;
    struct message *message = op->message;
    struct active *active = message->active;
    if (file->error != 0) {
        log_warning("%s: write queue file: %s", file->path, strerror(file->error));
        journal_note_done(active);
        store_reset(active);
        active_release_frame(active);
        store_failed(op);
    } else {
        journal_end(active);
        message->where = (uint8_t)op->where;
        store_unload(message);
    }
    store_settled(message, op->retry_at, file->error == 0);
    store_op_free(op);
    disk_kick();
}

static void store_changed(struct file_op *file)
{
    struct store_op *op = (struct store_op *)file;
    struct message *message = op->message;
    if (file->error == 0 || file->renamed)
        message->where = (uint8_t)op->where;
    if (file->error != 0) {
        log_warning("%s: update queue file: %s", file->path, strerror(file->error));
        store_failed(op);
    }
    if (file->error != 0 && message->active != NULL)
        store_begin_again(message->active); /* in memory, so that nobody gets it twice */
    else
        store_unload(message);
    store_settled(message, op->retry_at, file->error == 0);
    store_op_free(op);
}

/* What changed since the file was read, as frames to append. Reasons are left out when they have become so many that
 * who is done could not be read any more. */
static void store_op_changes(struct store_op *op, const struct active *active)
{
    struct stored_recipient *changed =
        mem_alloc_array(active->envelope.recipient_count, sizeof *changed);
    uint64_t reasons_end = active->content_offset + active->content_size + MOST_REASON_GROWTH;
    for (size_t i = 0; i < active->envelope.recipient_count; i++)
        if (active->targets[i].changed && (active->recipients[i].done || active->file_end < reasons_end))
            changed[i] = active->recipients[i];
    message_state_frames(op->message->serial, changed, active->envelope.recipient_count, active->retry_flags,
                         &op->state);
    free(changed);
    op->op.offset = (int64_t)active->file_end;
    if (op->state.len > 0)
        store_op_piece(op, str_slice(&op->state));
}

/* Cannot be read or saved just now. The journal keeps it, and its segment is not used again before it is gone. */
static void store_wait_unread(struct message *message)
{
    store_reset(message->active);
    active_release_frame(message->active);
    schedule_wait(message, wall_us() / 1000000 + settings.minimal_backoff);
}

static void store_noted(struct file_op *file)
{
    if (file->error != 0)
        log_warning("%s: update queue file: %s", file->path, strerror(file->error));
    store_op_free((struct store_op *)file);
}

void store_keep(struct message *message, enum spool_place where, int64_t retry_at)
{
    struct active *active = message->active;
    message->state = MESSAGE_SETTLING;
    if (message->where == PLACE_JOURNAL) {
        struct store_op *op = store_op_new(message, FILE_CREATE, where, retry_at, store_moved);
        if (store_op_fill(op, active)) {
            spool_add_file_op(&spool, &op->op);
        } else {
            store_op_free(op);
            if (active->corrupt)
                store_corrupt(active);
            else
                store_wait_unread(message);
        }
    } else {
        struct store_op *op = store_op_new(message, FILE_CHANGE, where, retry_at, store_changed);
        if (active != NULL)
            store_op_changes(op, active);
        op->op.sync = op->op.piece_count > 0 || op->op.new_path[0] != '\0';
        spool_add_file_op(&spool, &op->op);
    }
    disk_kick();
}

void store_note_done(struct message *message)
{
    struct active *active = message->active;
    if (message->where == PLACE_JOURNAL) {
        journal_note_done(active);
        return;
    }
    struct store_op *op = store_op_new(message, FILE_CHANGE, (enum spool_place)message->where, 0, store_noted);
    store_op_changes(op, active);
    spool_add_file_op(&spool, &op->op);
}

/* --- damage -------------------------------------------------------------------------------------- */

static void store_corrupted(struct file_op *file)
{
    struct store_op *op = (struct store_op *)file;
    struct message *message = op->message;
    bool failed = file->error != 0;
    if (failed)
        log_warning("%s: cannot save a damaged message: %s", file->path, strerror(file->error));
    store_op_free(op);
    if (failed && message->where == PLACE_JOURNAL) {
        store_wait_unread(message);
        return;
    }
    if (message->where == PLACE_JOURNAL)
        journal_end(message->active);
    store_unload(message);
    message_free(message);
    disk_kick();
}

/* A frame that is no message any more, as it is. */
static bool store_op_fill_raw(struct store_op *op, const struct active *active)
{
    uint32_t size = active->place.size;
    op->block = mem_alloc(size);
    if (spool_io_read(active->place.segment->fd, op->block, size, active->place.offset) < 0)
        return false;
    store_op_piece(op, slice_range(op->block, size));
    return true;
}

void store_corrupt(struct active *active)
{
    struct message *message = active->message;
    bool in_journal = message->where == PLACE_JOURNAL;
    struct store_op *op = store_op_new(message, in_journal ? FILE_CREATE : FILE_CHANGE, PLACE_CORRUPT, 0, store_corrupted);
    message->state = MESSAGE_SETTLING;
    log_warning("%s: saving corrupt message as corrupt/%s", message->queue_id, message->queue_id);
    if (in_journal && !store_op_fill(op, active) && !store_op_fill_raw(op, active)) {
        op->op.error = errno;
        store_corrupted(&op->op);
        return;
    }
    spool_add_file_op(&spool, &op->op);
    disk_kick();
}

/* --- too long in the journal ------------------------------------------------------------------- */

static void store_evacuated(struct file_op *file)
{
    struct store_op *op = (struct store_op *)file;
    struct message *message = op->message;
    struct active *active = message->active;
    if (file->error != 0) {
        log_warning("%s: write queue file: %s", file->path, strerror(file->error));
        disk_put_off_evacuation();
    } else {
        journal_end(active);
        message->where = PLACE_INCOMING;
        active->content_offset = FILE_CONTENT_OFFSET;
        active->file_end = op->file_end;
    }
    store_op_free(op);
    active->jobs--;
    active->evacuating = false;
    disk_kick();
    if (message->state == MESSAGE_ACTIVE)
        settle_check(active);
    else if (message->wishes != 0)
        (void)settle_wishes(message);
}

void store_evacuate(struct active *active)
{
    struct message *message = active->message;
    bool busy = message->state == MESSAGE_SETTLING || message->state == MESSAGE_INTAKE || active->evacuating;
    if (busy || message->where != PLACE_JOURNAL)
        return;
    struct store_op *op = store_op_new(message, FILE_CREATE, PLACE_INCOMING, 0, store_evacuated);
    if (!store_op_fill(op, active)) {
        store_op_free(op);
        disk_put_off_evacuation();
        return;
    }
    active->jobs++; /* not settled before it is where it belongs */
    active->evacuating = true;
    spool_add_file_op(&spool, &op->op);
}
