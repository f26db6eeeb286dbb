/* SPDX-License-Identifier: ISC */
/* message_file: one message from its file or frame. Every byte may be damaged; nothing read is trusted. */
#include "common/spool/message_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"

#define MOST_STATE_BYTES (64 * 1024 * 1024) /* that are read */
#define MOST_REASON_BYTES (8 * 1024 * 1024) /* that are written at once */
#define STATE_OVERHEAD 20                   /* of a recipient */
#define VERIFY_CHUNK (256 * 1024)

static enum stored_status message_take_envelope(struct slice bytes, struct arena *arena, struct stored_message *message)
{
    struct ipc_reader reader = ipc_reader_of(bytes);
    if (!envelope_decode(&reader, arena, &message->envelope) || !ipc_reader_finish(&reader))
        return STORED_DAMAGED;
    message->recipients =
        arena_alloc_array(arena, message->envelope.recipient_count, sizeof(struct stored_recipient));
    return STORED_OK;
}

bool message_apply(struct stored_message *message, const struct frame *frame, struct arena *arena)
{
    size_t limit = message->envelope.recipient_count;
    if (frame->type == FRAME_DONE) {
        uint32_t *indexes;
        size_t count;
        if (!done_decode(frame->envelope, arena, &indexes, &count))
            return false;
        for (size_t i = 0; i < count; i++)
            if (indexes[i] < limit)
                message->recipients[indexes[i]].done = true;
        return true;
    }
    struct retry_state state;
    if (frame->type != FRAME_STATE || !retry_state_decode(frame->envelope, arena, &state))
        return false;
    message->retry_flags = state.flags;
    for (size_t i = 0; i < state.count; i++) {
        const struct recipient_state *one = &state.recipients[i];
        if (one->index >= limit)
            continue;
        struct stored_recipient *recipient = &message->recipients[one->index];
        recipient->dsn = one->dsn;
        recipient->reason = one->reason;
        recipient->remote_host = one->remote_host;
        recipient->diagnostic = one->diagnostic;
    }
    return true;
}

enum stored_status message_from_frame(struct slice bytes, struct arena *arena, struct stored_message *message)
{
    *message = (struct stored_message){0};
    enum frame_status status = frame_parse(bytes, &message->frame);
    if (status != FRAME_OK || message->frame.type != FRAME_MESSAGE)
        return STORED_DAMAGED;
    message->content_offset = FRAME_HEADER_SIZE;
    return message_take_envelope(message->frame.envelope, arena, message);
}

/* The frames of state behind the content. What cannot be read ends them: it was never synced. */
static enum stored_status message_read_state(int fd, uint64_t size, struct arena *arena, struct stored_message *message)
{
    if (size <= message->file_end)
        return STORED_OK;
    size_t len = (size_t)(size - message->file_end);
    if (len > MOST_STATE_BYTES)
        len = MOST_STATE_BYTES;
    char *bytes = arena_alloc(arena, len);
    if (spool_io_read(fd, bytes, len, (off_t)message->file_end) < 0)
        return STORED_ERROR;
    struct slice rest = slice_range(bytes, len);
    struct frame frame;
    while (frame_parse(rest, &frame) == FRAME_OK && frame.serial == message->frame.serial &&
           message_apply(message, &frame, arena)) {
        size_t step = frame_size(0, frame.envelope_len);
        message->file_end += step;
        rest = slice_skip(rest, step);
    }
    return STORED_OK;
}

enum stored_status message_file_read(int fd, struct arena *arena, struct stored_message *message)
{
    unsigned char header[FRAME_HEADER_SIZE];
    static const unsigned char nothing[FRAME_HEADER_SIZE];
    struct stat info;
    *message = (struct stored_message){0};
    if (fstat(fd, &info) < 0)
        return STORED_ERROR;
    if (info.st_size < (off_t)sizeof header)
        return STORED_UNSEALED;
    if (spool_io_read(fd, header, sizeof header, 0) < 0)
        return STORED_ERROR;
    enum frame_status status = frame_header_decode(header, &message->frame);
    if (status == FRAME_NONE)
        return memcmp(header, nothing, sizeof header) == 0 ? STORED_UNSEALED : STORED_FOREIGN;
    uint64_t envelope_at = FILE_CONTENT_OFFSET + message->frame.content_len;
    if (status != FRAME_OK || message->frame.type != FRAME_MESSAGE || (message->frame.flags & FRAME_OWN_FILE) == 0 ||
        envelope_at + message->frame.envelope_len > (uint64_t)info.st_size)
        return STORED_DAMAGED;
    char *envelope = arena_alloc(arena, message->frame.envelope_len);
    if (spool_io_read(fd, envelope, message->frame.envelope_len, (off_t)envelope_at) < 0)
        return STORED_ERROR;
    message->frame.envelope = slice_range(envelope, message->frame.envelope_len);
    if (!frame_check(header, message->frame.envelope))
        return STORED_DAMAGED;
    message->content_offset = FILE_CONTENT_OFFSET;
    message->file_end = frame_file_end(message->frame.content_len, message->frame.envelope_len);
    if (message_take_envelope(message->frame.envelope, arena, message) != STORED_OK)
        return STORED_DAMAGED;
    return message_read_state(fd, (uint64_t)info.st_size, arena, message);
}

enum stored_status message_file_open(int directory, const char *path, struct arena *arena,
                                     struct stored_message *message, int *fd)
{
    *fd = spool_io_open(directory, path, O_RDONLY);
    if (*fd < 0)
        return errno == ENOENT ? STORED_MISSING : STORED_ERROR;
    enum stored_status status = message_file_read(*fd, arena, message);
    if (status != STORED_OK) {
        int saved_errno = errno;
        close(*fd);
        *fd = -1;
        errno = saved_errno;
    }
    return status;
}

enum stored_status message_file_verify(int fd, const struct stored_message *message)
{
    enum stored_status status = STORED_OK;
    uint64_t done = 0, size = message->frame.content_len;
    char *chunk = mem_realloc_array(NULL, VERIFY_CHUNK, 1);
    XXH3_state_t *hash = XXH3_createState();
    if (hash == NULL)
        mem_exhausted(0);
    XXH3_64bits_reset(hash);
    while (done < size && status == STORED_OK) {
        size_t len = size - done < VERIFY_CHUNK ? (size_t)(size - done) : VERIFY_CHUNK;
        if (spool_io_read(fd, chunk, len, (off_t)(message->content_offset + done)) < 0)
            status = STORED_ERROR;
        else
            XXH3_64bits_update(hash, chunk, len);
        done += len;
    }
    if (status == STORED_OK && XXH3_64bits_digest(hash) != message->frame.content_hash)
        status = STORED_DAMAGED;
    XXH3_freeState(hash);
    free(chunk);
    return status;
}

/* --- writing ----------------------------------------------------------------------------- */

unsigned char *message_build_frame(const struct envelope *envelope, uint32_t serial, struct slice content,
                                   uint64_t content_hash, uint32_t *size)
{
    struct str out = STR_EMPTY;
    struct frame frame = {
        .type = FRAME_MESSAGE,
        .serial = serial,
        .content_len = content.len,
        .time_us = envelope->arrival_us,
        .content_hash = content_hash,
    };
    str_reserve(&out, FRAME_HEADER_SIZE + content.len + 512);
    out.len = FRAME_HEADER_SIZE; /* filled in below, when the envelope's length is known */
    str_append_slice(&out, content);
    envelope_encode(envelope, &out);
    struct slice encoded = slice_skip(str_slice(&out), FRAME_HEADER_SIZE + content.len);
    unsigned char header[FRAME_HEADER_SIZE];
    size_t total = frame_size(content.len, encoded.len);
    frame_seal(&frame, encoded, header);
    memcpy(out.data, header, sizeof header);
    static const char padding[8];
    str_append_bytes(&out, padding, total - out.len);
    *size = (uint32_t)total;
    return (unsigned char *)str_detach(&out);
}

void message_file_header(uint32_t serial, int64_t time_us, uint64_t content_size, uint64_t content_hash,
                         struct slice envelope, unsigned char header[FRAME_HEADER_SIZE])
{
    struct frame frame = {
        .type = FRAME_MESSAGE,
        .flags = FRAME_OWN_FILE,
        .serial = serial,
        .content_len = content_size,
        .time_us = time_us,
        .content_hash = content_hash,
    };
    frame_seal(&frame, envelope, header);
}

void message_state_frames(uint32_t serial, const struct stored_recipient *recipients, size_t count,
                          uint8_t retry_flags, struct str *out)
{
    struct str done = STR_EMPTY, state = STR_EMPTY;
    struct retry_state retry = {.flags = retry_flags};
    size_t reasons = 0;
    retry.recipients = mem_alloc_array(count, sizeof *retry.recipients);
    for (uint32_t i = 0; i < count; i++) {
        const struct stored_recipient *one = &recipients[i];
        if (one->done)
            done_encode(&i, 1, &done);
        else if (one->reason != NULL && reasons < MOST_REASON_BYTES) {
            retry.recipients[retry.count++] =
                (struct recipient_state){i, one->dsn, one->reason, one->remote_host, one->diagnostic};
            reasons += STATE_OVERHEAD + strlen(one->dsn) + strlen(one->reason) + strlen(one->remote_host) +
                       strlen(one->diagnostic);
        }
    }
    struct frame frame = {.serial = serial, .time_us = wall_us()};
    if (done.len > 0) {
        frame.type = FRAME_DONE;
        frame_append(&frame, str_slice(&done), out);
    }
    if (retry.count > 0 || retry_flags != 0) {
        retry_state_encode(&retry, &state);
        frame.type = FRAME_STATE;
        frame_append(&frame, str_slice(&state), out);
    }
    free(retry.recipients);
    str_free(&done);
    str_free(&state);
}
