/* SPDX-License-Identifier: ISC */
/*
 * message: the table of all messages in the spool by serial number, and their contents when they are in
 * memory. The table is open addressing with linear probing: 8 bytes a slot, no list nodes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"
#include "queue/queue.h"

#define MOST_FRAME_MEMORY (64u * 1024 * 1024)

static size_t frames_kept; /* bytes of messages in memory */

static struct {
    struct message **slots;
    size_t size; /* a power of two */
    size_t count;
} table;

static size_t slot_of(uint32_t serial)
{
    return (serial * 2654435761u) & (table.size - 1);
}

static void table_insert(struct message *message)
{
    size_t at = slot_of(message->serial);
    while (table.slots[at] != NULL)
        at = (at + 1) & (table.size - 1);
    table.slots[at] = message;
}

static void table_grow(void)
{
    struct message **old = table.slots;
    size_t old_size = table.size;
    table.size = old_size == 0 ? 1024 : old_size * 2;
    table.slots = mem_alloc_array(table.size, sizeof *table.slots);
    for (size_t i = 0; i < old_size; i++)
        if (old[i] != NULL)
            table_insert(old[i]);
    free(old);
}

struct message *message_find(uint32_t serial)
{
    if (table.size == 0)
        return NULL;
    for (size_t at = slot_of(serial); table.slots[at] != NULL; at = (at + 1) & (table.size - 1))
        if (table.slots[at]->serial == serial)
            return table.slots[at];
    return NULL;
}

struct message *message_find_id(struct slice queue_id)
{
    uint32_t serial;
    if (!queue_id_serial(queue_id, &serial))
        return NULL;
    struct message *message = message_find(serial);
    return message != NULL && slice_equal(queue_id, slice_of(message->queue_id)) ? message : NULL;
}

struct message *message_new(uint32_t serial, const char *queue_id, enum spool_place where)
{
    struct message *message = mem_alloc(sizeof *message);
    message->serial = serial;
    message->where = (uint8_t)where;
    size_t len = strnlen(queue_id, sizeof message->queue_id - 1);
    memcpy(message->queue_id, queue_id, len);
    if ((table.count + 1) * 2 > table.size)
        table_grow();
    table_insert(message);
    table.count++;
    return message;
}

void message_free(struct message *message)
{
    size_t mask = table.size - 1, hole = slot_of(message->serial);
    while (table.slots[hole] != message)
        hole = (hole + 1) & mask;
    /* Close the hole, so that no probe ends too early. */
    for (size_t at = (hole + 1) & mask; table.slots[at] != NULL; at = (at + 1) & mask) {
        size_t home = slot_of(table.slots[at]->serial);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table.slots[hole] = table.slots[at];
            hole = at;
        }
    }
    table.slots[hole] = NULL;
    table.count--;
    free(message);
}

size_t message_count(void) { return table.count; }

struct message *message_after(uint32_t *cursor)
{
    while (*cursor < table.size) {
        struct message *message = table.slots[(*cursor)++];
        if (message != NULL)
            return message;
    }
    return NULL;
}

/* The handler may free: work on a copy of what is there now. */
void message_each(void (*handler)(struct message *message, void *context), void *context)
{
    size_t count = 0;
    uint32_t *serials = mem_alloc_array(table.count, sizeof *serials);
    for (size_t i = 0; i < table.size; i++)
        if (table.slots[i] != NULL)
            serials[count++] = table.slots[i]->serial;
    for (size_t i = 0; i < count; i++) {
        struct message *message = message_find(serials[i]);
        if (message != NULL)
            handler(message, context);
    }
    free(serials);
}

/* --- contents ------------------------------------------------------------------------- */

struct active *active_new(struct message *message)
{
    struct active *active = mem_alloc(sizeof *active);
    active->message = message;
    active->arena = arena_new();
    if (message != NULL)
        message->active = active;
    return active;
}

void active_free(struct active *active)
{
    journal_place_release(&active->place);
    if (active->message != NULL)
        active->message->active = NULL;
    active_release_frame(active);
    arena_free(active->arena);
    free(active);
}

size_t active_open_recipients(const struct active *active)
{
    size_t count = 0;
    for (size_t i = 0; i < active->envelope.recipient_count; i++)
        count += !active->recipients[i].done;
    return count;
}

void active_keep_frame(struct active *active)
{
    if (frames_kept + active->frame_size > MOST_FRAME_MEMORY) {
        active_release_frame(active);
        return;
    }
    active->frame_counted = true;
    frames_kept += active->frame_size;
}

void active_release_frame(struct active *active)
{
    if (active->frame_counted)
        frames_kept -= active->frame_size;
    active->frame_counted = false;
    free(active->frame);
    active->frame = NULL;
}

bool active_load_content(struct active *active)
{
    if (active->frame != NULL || active->place.segment == NULL)
        return active->frame != NULL;
    struct stored_message stored;
    struct arena *arena = arena_new();
    active->frame = mem_realloc_array(NULL, active->place.size, 1);
    bool read = spool_io_read(active->place.segment->fd, active->frame, active->place.size, active->place.offset) == 0;
    bool good = read && message_from_frame(slice_range((char *)active->frame, active->place.size), arena, &stored) == STORED_OK;
    active->corrupt = active->corrupt || (read && !good);
    if (good) {
        active->content = stored.frame.content;
        active->frame_size = active->place.size;
    } else {
        log_warning("%s: cannot read the journal: %s", active->message->queue_id, read ? "damaged" : strerror(errno));
        free(active->frame);
        active->frame = NULL;
    }
    arena_free(arena);
    return good;
}

static void message_path(const struct message *message, char path[SPOOL_PATH_SIZE])
{
    spool_path(path, message->where, message->queue_id, message->serial);
}

int message_open_file(const struct message *message)
{
    char path[SPOOL_PATH_SIZE];
    message_path(message, path);
    return spool_io_open(spool.directory, path, O_RDONLY);
}

static void active_take(struct active *active, const struct stored_message *stored)
{
    active->envelope = stored->envelope;
    active->recipients = stored->recipients;
    active->targets = arena_alloc_array(active->arena, stored->envelope.recipient_count, sizeof(struct target));
    active->retry_flags = stored->retry_flags;
    active->content_offset = stored->content_offset;
    active->content_size = stored->frame.content_len;
    active->content_hash = stored->frame.content_hash;
    active->file_end = stored->file_end;
}

static void set_aside_done(struct file_op *op)
{
    if (op->error != 0)
        log_warning("%s: cannot save as %s: %s", op->path, op->new_path, strerror(op->error));
    free(op);
}

/* A file that cannot be used: out of the way when it is damaged, and out of the schedule in any case. */
static void message_give_up(struct message *message, enum stored_status status)
{
    char path[SPOOL_PATH_SIZE];
    message_path(message, path);
    if (status == STORED_DAMAGED || status == STORED_UNSEALED) {
        struct file_op *op = file_op_new(FILE_CHANGE, path, set_aside_done);
        spool_path(op->new_path, PLACE_CORRUPT, message->queue_id, message->serial);
        log_warning("%s: damaged message; saved as %s", path, op->new_path);
        spool_add_file_op(&spool, op);
        disk_kick();
    } else if (status == STORED_FOREIGN) {
        log_warning("%s: not a queue file of this mail system; left alone", path);
    } else if (status == STORED_MISSING) {
        log_warning("%s: the file was removed", path);
    }
    message_free(message);
}

bool active_load(struct message *message)
{
    char path[SPOOL_PATH_SIZE];
    struct stored_message stored;
    if (message->active != NULL)
        return true;
    struct active *active = active_new(message);
    message_path(message, path);
    int fd;
    enum stored_status status = message_file_open(spool.directory, path, active->arena, &stored, &fd);
    if (fd >= 0)
        close(fd);
    if (status == STORED_OK && strcmp(stored.envelope.queue_id, message->queue_id) != 0)
        status = STORED_DAMAGED;
    if (status == STORED_OK) {
        active_take(active, &stored);
        return true;
    }
    if (status == STORED_ERROR)
        log_warning("%s: %s", path, strerror(errno));
    active_free(active);
    if (status == STORED_ERROR && message->where == PLACE_HOLD)
        schedule_hold(message);
    else if (status == STORED_ERROR)
        schedule_wait(message, wall_us() / 1000000 + settings.minimal_backoff);
    else
        message_give_up(message, status);
    return false;
}

enum stored_status message_peek(const struct message *message, struct arena *arena, struct stored_message *stored,
                                struct slice *content, int *fd)
{
    char path[SPOOL_PATH_SIZE];
    const struct active *active = message->active;
    *fd = -1;
    *content = SLICE("");
    if (active != NULL) {
        *stored = (struct stored_message){.envelope = active->envelope, .recipients = active->recipients,
                                          .retry_flags = active->retry_flags, .content_offset = active->content_offset};
        stored->frame.content_len = active->content_size;
        if (active->frame != NULL)
            *content = active->content;
        return STORED_OK;
    }
    message_path(message, path);
    enum stored_status status = message_file_open(spool.directory, path, arena, stored, fd);
    /* It may be on its way to another folder just now. */
    for (int where = PLACE_INCOMING; status == STORED_MISSING && where <= PLACE_HOLD; where++) {
        spool_path(path, (enum spool_place)where, message->queue_id, message->serial);
        status = message_file_open(spool.directory, path, arena, stored, fd);
    }
    return status;
}
