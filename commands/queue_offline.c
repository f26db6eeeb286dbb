/* SPDX-License-Identifier: ISC */
/*
 * queue_offline: the spool of a stopped mail system, for root and mail_owner. Looking changes nothing and takes
 * no lock; changing locks the spool, so that a start in the meantime waits, and does a start's repairs first,
 * with mail_owner's rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "commands/queue_client.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/queue_protocol.h"
#include "common/spool/spool.h"
#include "common/spool/spool_io.h"

/* A message that was found, with what is needed to change it. */
struct stored {
    uint32_t serial;
    enum spool_place where;
    char queue_id[SPOOL_ID_SIZE];
    struct journal_place place;
    char *frame; /* in the journal */
    size_t frame_size;
    uint32_t *done;
    size_t done_count;
};

struct stored_list {
    struct stored **list; /* each on its own: the journal keeps pointers to their places */
    size_t count;
};

static struct stored *stored_add(struct stored_list *list, uint32_t serial, enum spool_place where, const char *queue_id)
{
    struct stored *one = mem_alloc(sizeof *one);
    one->serial = serial;
    one->where = where;
    snprintf(one->queue_id, sizeof one->queue_id, "%s", queue_id);
    if ((list->count & (list->count + 1)) == 0)
        list->list = mem_realloc_array(list->list, (list->count + 1) * 2, sizeof one);
    list->list[list->count++] = one;
    return one;
}

static void on_found(void *context, const struct found_message *found)
{
    struct stored *one = stored_add(context, found->serial, found->where, found->queue_id);
    if (found->where != PLACE_JOURNAL)
        return;
    one->frame = mem_realloc_array(NULL, found->frame.len, 1);
    one->frame_size = found->frame.len;
    memcpy(one->frame, found->frame.data, found->frame.len);
    one->done = mem_realloc_array(NULL, found->done_count, sizeof *one->done);
    if (found->done_count > 0)
        memcpy(one->done, found->done, found->done_count * sizeof *one->done);
    one->done_count = found->done_count;
    journal_place_set(&one->place, found->segment, found->offset, (uint32_t)found->frame.len);
}

/* What root writes here the queue must be able to read, and remove. */
static void offline_become_owner(const struct config *config)
{
    const char *name = config_string(config, "mail_owner");
    if (geteuid() != 0)
        return;
    const struct passwd *owner = getpwnam(name);
    if (owner == NULL)
        queue_client_fail(EX_CONFIG, "mail_owner: there is no user \"%s\"", name);
    if (setgroups(1, &owner->pw_gid) < 0 || setgid(owner->pw_gid) < 0 || setuid(owner->pw_uid) < 0)
        queue_client_fail(EX_OSERR, "cannot become %s: %s", name, strerror(errno));
}

static void offline_open(const struct config *config, bool read_only, struct spool *spool, struct stored_list *list)
{
    struct spool_options options = {.segment_size = SEGMENT_SIZE, .most_spare = 4, .read_only = read_only};
    const char *path = config_string(config, "queue_directory"), *failed = path;
    struct spool_walk walk;
    struct walked_file file;
    *list = (struct stored_list){NULL, 0};
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!read_only)
        offline_become_owner(config);
    enum spool_open_status status =
        directory < 0 ? SPOOL_FAILED : spool_open(spool, directory, &options, on_found, list, &failed);
    if (status == SPOOL_BUSY)
        queue_client_fail(EX_TEMPFAIL, "the queue is in use by another process");
    if (status != SPOOL_OPENED && (errno == EACCES || errno == EPERM))
        queue_client_fail(EX_NOPERM, "use of this command is reserved for the superuser");
    if (status != SPOOL_OPENED)
        queue_client_fail(EX_UNAVAILABLE, "open the queue: %s: %s", failed, strerror(errno));
    spool_walk_start(&walk, directory);
    while (spool_walk_next(&walk, &file))
        (void)stored_add(list, file.serial, file.where, file.queue_id);
    spool_walk_stop(&walk);
}

static void offline_close(struct spool *spool, struct stored_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->list[i]->frame);
        free(list->list[i]->done);
        free(list->list[i]);
    }
    free(list->list);
    spool_close(spool);
}

static void stored_path(const struct stored *one, enum spool_place where, char path[SPOOL_PATH_SIZE])
{
    spool_path(path, where, one->queue_id, one->serial);
}

/* *fd is open when the message has a file of its own. */
static enum stored_status stored_read(const struct spool *spool, const struct stored *one, struct arena *arena,
                                      struct stored_message *message, int *fd)
{
    char path[SPOOL_PATH_SIZE];
    *fd = -1;
    if (one->where != PLACE_JOURNAL) {
        stored_path(one, one->where, path);
        return message_file_open(spool->directory, path, arena, message, fd);
    }
    enum stored_status status = message_from_frame(slice_range(one->frame, one->frame_size), arena, message);
    for (size_t i = 0; i < one->done_count && status == STORED_OK; i++)
        if (one->done[i] < message->envelope.recipient_count)
            message->recipients[one->done[i]].done = true;
    return status;
}

static uint8_t stored_queue(const struct stored *one)
{
    return one->where == PLACE_HOLD ? CONTROL_IN_HOLD :
           one->where == PLACE_DEFERRED ? CONTROL_IN_DEFERRED : CONTROL_IN_INCOMING;
}

/* --- looking --------------------------------------------------------------------------------- */

static bool stored_list_one(const struct spool *spool, const struct stored *one, struct arena *arena,
                            struct listed_message *listed)
{
    struct stored_message message;
    int fd;
    if (stored_read(spool, one, arena, &message, &fd) != STORED_OK)
        return false;
    if (fd >= 0)
        close(fd);
    *listed = (struct listed_message){.queue_id = arena_strdup(arena, one->queue_id), .queue = stored_queue(one),
                                      .forced_expire = (message.retry_flags & RETRY_EXPIRE) != 0,
                                      .arrival_s = message.envelope.arrival_us / 1000000,
                                      .size = message.frame.content_len, .sender = message.envelope.sender};
    listed->recipients = arena_alloc_array(arena, message.envelope.recipient_count, sizeof *listed->recipients);
    for (size_t i = 0; i < message.envelope.recipient_count; i++) {
        const struct stored_recipient *state = &message.recipients[i];
        if (!state->done)
            listed->recipients[listed->recipient_count++] = (struct listed_recipient){
                message.envelope.recipients[i].address, state->reason != NULL ? state->reason : arena_strdup(arena, "")};
    }
    return true;
}

void queue_offline_list(const struct config *config, listed_handler *handler, void *context)
{
    struct spool spool;
    struct stored_list list;
    struct arena *arena = arena_new();
    offline_open(config, true, &spool, &list);
    for (size_t i = 0; i < list.count; i++) {
        struct listed_message listed;
        if (stored_list_one(&spool, list.list[i], arena, &listed))
            handler(context, &listed);
        arena_reset(arena);
    }
    arena_free(arena);
    offline_close(&spool, &list);
}

bool queue_offline_read(const struct config *config, const char *queue_id, struct arena *arena,
                        struct control_content *content, int *fd)
{
    struct spool spool;
    struct stored_list list;
    bool found = false;
    offline_open(config, true, &spool, &list);
    for (size_t i = 0; i < list.count && !found; i++) {
        struct stored_message message;
        if (strcmp(list.list[i]->queue_id, queue_id) != 0 ||
            stored_read(&spool, list.list[i], arena, &message, fd) != STORED_OK)
            continue;
        found = true;
        *content = (struct control_content){.queue = stored_queue(list.list[i]), .envelope = message.envelope,
                                            .content_offset = message.content_offset,
                                            .content_size = message.frame.content_len, .in_file = *fd >= 0};
        if (*fd < 0)
            content->content = slice_range(arena_strndup(arena, message.frame.content.data, message.frame.content.len),
                                           message.frame.content.len);
        content->done = arena_alloc_array(arena, message.envelope.recipient_count, sizeof(bool));
        for (size_t k = 0; k < message.envelope.recipient_count; k++)
            content->done[k] = message.recipients[k].done;
    }
    offline_close(&spool, &list);
    return found;
}

/* --- changing ----------------------------------------------------------------------------------- */

static void op_done(struct file_op *op)
{
    if (op->error != 0)
        queue_client_fail(EX_IOERR, "%s: %s", op->path, strerror(op->error));
    free(op);
}

/* The message leaves the journal. */
static void stored_end(struct spool *spool, struct stored *one)
{
    struct frame frame = {.type = FRAME_DONE, .serial = one->serial, .time_us = wall_us()};
    struct journal_entry *entry = mem_alloc(sizeof *entry + FRAME_HEADER_SIZE);
    entry->frame = (unsigned char *)(entry + 1);
    entry->size = FRAME_HEADER_SIZE;
    entry->ends_message = true;
    entry->place = &one->place;
    frame_seal(&frame, SLICE(""), entry->frame);
    journal_add(spool->journal, entry);
    spool_run_all(spool);
    if (journal_is_dirty(spool->journal))
        queue_client_fail(EX_IOERR, "%s: cannot write to the journal", one->queue_id);
    free(entry);
}

/* Gives a message of the journal a file of its own. */
static void stored_unpack(struct spool *spool, struct stored *one)
{
    struct arena *arena = arena_new();
    struct stored_message message;
    struct str file = STR_EMPTY;
    char path[SPOOL_PATH_SIZE];
    int fd;
    if (stored_read(spool, one, arena, &message, &fd) != STORED_OK)
        queue_client_fail(EX_IOERR, "%s: damaged", one->queue_id);
    char *block = arena_alloc(arena, FILE_CONTENT_OFFSET);
    message_file_header(one->serial, message.envelope.arrival_us, message.frame.content_len,
                        message.frame.content_hash, message.frame.envelope, (unsigned char *)block);
    str_append_bytes(&file, block, FILE_CONTENT_OFFSET);
    str_append_slice(&file, message.frame.content);
    str_append_slice(&file, message.frame.envelope);
    while (file.len < frame_file_end(message.frame.content_len, message.frame.envelope_len))
        str_append_char(&file, '\0');
    message_state_frames(one->serial, message.recipients, message.envelope.recipient_count, 0, &file);
    stored_path(one, PLACE_INCOMING, path);
    struct file_op *op = file_op_new(FILE_CREATE, path, op_done);
    op->pieces[0] = (struct iovec){file.data, file.len};
    op->piece_count = 1;
    spool_add_file_op(spool, op);
    spool_run_all(spool);
    stored_end(spool, one);
    one->where = PLACE_INCOMING;
    str_free(&file);
    arena_free(arena);
}

static void stored_remove(struct spool *spool, struct stored *one)
{
    char path[SPOOL_PATH_SIZE];
    if (one->where == PLACE_JOURNAL) {
        stored_end(spool, one);
        return;
    }
    stored_path(one, one->where, path);
    spool_add_file_op(spool, file_op_new(FILE_REMOVE, path, op_done));
}

/* Moves it, sets its time to now, and appends state when there is some. */
static void stored_move(struct spool *spool, struct stored *one, enum spool_place where, struct slice state, uint64_t at)
{
    char path[SPOOL_PATH_SIZE];
    stored_path(one, one->where, path);
    struct file_op *op = file_op_new(FILE_CHANGE, path, op_done);
    if (where != one->where)
        stored_path(one, where, op->new_path);
    op->mtime = wall_us() / 1000000;
    op->sync = true;
    if (state.len > 0) {
        op->pieces[0] = (struct iovec){(void *)(uintptr_t)state.data, state.len};
        op->piece_count = 1;
        op->offset = (int64_t)at;
    }
    spool_add_file_op(spool, op);
    spool_run_all(spool);
    one->where = where;
}

static void stored_expire(struct spool *spool, struct stored *one, bool release)
{
    struct arena *arena = arena_new();
    struct stored_message message;
    struct str state = STR_EMPTY;
    int fd;
    if (one->where == PLACE_JOURNAL)
        stored_unpack(spool, one);
    if (stored_read(spool, one, arena, &message, &fd) != STORED_OK)
        queue_client_fail(EX_IOERR, "%s: damaged", one->queue_id);
    close(fd);
    message_state_frames(one->serial, message.recipients, 0, message.retry_flags | RETRY_EXPIRE, &state);
    stored_move(spool, one, one->where == PLACE_HOLD && release ? PLACE_DEFERRED : one->where, str_slice(&state),
                message.file_end);
    str_free(&state);
    arena_free(arena);
}

/* True when it counts as done. */
static bool stored_change(struct spool *spool, struct stored *one, uint8_t action)
{
    bool held = one->where == PLACE_HOLD;
    switch (action) {
    case CONTROL_DELETE:
        stored_remove(spool, one);
        return true;
    case CONTROL_HOLD:
        if (held)
            return false;
        if (one->where == PLACE_JOURNAL)
            stored_unpack(spool, one);
        stored_move(spool, one, PLACE_HOLD, SLICE(""), 0);
        return true;
    case CONTROL_RELEASE:
        if (held)
            stored_move(spool, one, PLACE_DEFERRED, SLICE(""), 0);
        return held;
    case CONTROL_REQUEUE: /* what is in the journal or in incoming/ is tried at the start anyway */
        if (held || one->where == PLACE_DEFERRED)
            stored_move(spool, one, PLACE_DEFERRED, SLICE(""), 0);
        return true;
    default:
        stored_expire(spool, one, action == CONTROL_EXPIRE_RELEASE);
        return true;
    }
}

static bool is_wanted(const struct control_change *change, const struct stored *one)
{
    if ((stored_queue(one) & change->queues) == 0)
        return false;
    for (size_t i = 0; i < change->id_count && !change->all; i++)
        if (strcmp(change->ids[i], one->queue_id) == 0)
            return true;
    return change->all;
}

unsigned queue_offline_change(const struct config *config, const struct control_change *change,
                              changed_handler *changed)
{
    struct spool spool;
    struct stored_list list;
    unsigned count = 0;
    offline_open(config, false, &spool, &list);
    for (size_t i = 0; i < list.count; i++)
        if (is_wanted(change, list.list[i]) && stored_change(&spool, list.list[i], change->action)) {
            changed(change, list.list[i]->queue_id);
            count++;
        }
    spool_run_all(&spool);
    offline_close(&spool, &list);
    return count;
}

void queue_offline_check(const struct config *config)
{
    struct spool spool;
    struct stored_list list;
    offline_open(config, false, &spool, &list);
    offline_close(&spool, &list);
}
