/* SPDX-License-Identifier: ISC */
/*
 * frame: the spool's file format. Pure; used by the queue, by the commands that read the spool, and by the
 * fuzzer. Bytes come from a disk that may have damaged them, so every length is checked before use.
 */
#include "common/spool/frame.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "common/process/ipc_codec.h"

#define FRAME_MAGIC 0x31464850u   /* "PHF1" */
#define SEGMENT_MAGIC 0x314a4850u /* "PHJ1" */
#define ALIGNMENT 8u
#define CHECKED_SIZE 56u /* of the header; the checksum follows */

static void put32(unsigned char *at, uint32_t value) { value = htole32(value); memcpy(at, &value, 4); }
static void put64(unsigned char *at, uint64_t value) { value = htole64(value); memcpy(at, &value, 8); }
static uint32_t get32(const unsigned char *at) { uint32_t v; memcpy(&v, at, 4); return le32toh(v); }
static uint64_t get64(const unsigned char *at) { uint64_t v; memcpy(&v, at, 8); return le64toh(v); }

static uint64_t align_up(uint64_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t frame_size(size_t content_len, size_t envelope_len)
{
    return (size_t)align_up(FRAME_HEADER_SIZE + content_len + envelope_len);
}

uint64_t frame_file_end(uint64_t content_len, uint32_t envelope_len)
{
    return align_up(FILE_CONTENT_OFFSET + content_len + envelope_len);
}

uint64_t frame_hash(struct slice bytes)
{
    return XXH3_64bits(bytes.data, bytes.len);
}

/* The envelope's hash seeded with the header's: neither can be exchanged alone. */
static uint64_t frame_checksum(const unsigned char *header, struct slice envelope)
{
    return XXH3_64bits_withSeed(envelope.data, envelope.len, XXH3_64bits(header, CHECKED_SIZE));
}

void frame_seal(const struct frame *frame, struct slice envelope, unsigned char header[FRAME_HEADER_SIZE])
{
    uint16_t flags = htole16(frame->flags);
    put32(header, FRAME_MAGIC);
    header[4] = FRAME_VERSION;
    header[5] = frame->type;
    memcpy(header + 6, &flags, 2);
    put64(header + 8, frame->generation);
    put32(header + 16, frame->serial);
    put32(header + 20, (uint32_t)envelope.len);
    put64(header + 24, frame->content_len);
    put64(header + 32, (uint64_t)frame->time_us);
    put32(header + 40, frame->synced_end);
    put32(header + 44, frame->prior_end);
    put64(header + 48, frame->content_hash);
    put64(header + CHECKED_SIZE, frame_checksum(header, envelope));
}

void frame_place(unsigned char *frame, uint64_t generation, uint32_t synced_end, uint32_t prior_end)
{
    const char *envelope = (const char *)frame + FRAME_HEADER_SIZE + get64(frame + 24);
    put64(frame + 8, generation);
    put32(frame + 40, synced_end);
    put32(frame + 44, prior_end);
    put64(frame + CHECKED_SIZE, frame_checksum(frame, slice_range(envelope, get32(frame + 20))));
}

void frame_append(const struct frame *frame, struct slice body, struct str *out)
{
    unsigned char header[FRAME_HEADER_SIZE];
    static const char padding[ALIGNMENT];
    frame_seal(frame, body, header);
    str_append_bytes(out, header, sizeof header);
    str_append_slice(out, body);
    str_append_bytes(out, padding, frame_size(0, body.len) - FRAME_HEADER_SIZE - body.len);
}

enum frame_status frame_header_decode(const unsigned char header[FRAME_HEADER_SIZE], struct frame *frame)
{
    uint16_t flags;
    if (get32(header) != FRAME_MAGIC)
        return FRAME_NONE;
    memcpy(&flags, header + 6, 2);
    *frame = (struct frame){
        .type = header[5],
        .flags = le16toh(flags),
        .generation = get64(header + 8),
        .serial = get32(header + 16),
        .envelope_len = get32(header + 20),
        .content_len = get64(header + 24),
        .time_us = (int64_t)get64(header + 32),
        .synced_end = get32(header + 40),
        .prior_end = get32(header + 44),
        .content_hash = get64(header + 48),
    };
    if (header[4] != FRAME_VERSION || frame->type < FRAME_MESSAGE || frame->type > FRAME_STATE ||
        (frame->flags & ~FRAME_OWN_FILE) != 0 || frame->envelope_len > FRAME_LARGEST_ENVELOPE ||
        frame->content_len > INT64_MAX / 2 || (frame->type != FRAME_MESSAGE && frame->content_len != 0))
        return FRAME_DAMAGED;
    return FRAME_OK;
}

size_t frame_find(struct slice bytes, size_t from)
{
    for (; from + FRAME_HEADER_SIZE <= bytes.len; from += 8)
        if (get32((const unsigned char *)bytes.data + from) == FRAME_MAGIC)
            return from;
    return bytes.len;
}

bool frame_check(const unsigned char header[FRAME_HEADER_SIZE], struct slice envelope)
{
    return get64(header + CHECKED_SIZE) == frame_checksum(header, envelope);
}

enum frame_status frame_parse(struct slice bytes, struct frame *frame)
{
    const unsigned char *header = (const unsigned char *)bytes.data;
    if (bytes.len < FRAME_HEADER_SIZE)
        return FRAME_NONE;
    enum frame_status status = frame_header_decode(header, frame);
    if (status != FRAME_OK)
        return status;
    size_t left = bytes.len - FRAME_HEADER_SIZE;
    if ((frame->flags & FRAME_OWN_FILE) != 0 || frame->content_len > left ||
        frame->envelope_len > left - frame->content_len)
        return FRAME_DAMAGED;
    frame->content = slice_range(bytes.data + FRAME_HEADER_SIZE, (size_t)frame->content_len);
    frame->envelope = slice_range(frame->content.data + frame->content.len, frame->envelope_len);
    if (!frame_check(header, frame->envelope))
        return FRAME_DAMAGED;
    if (frame->content_len > 0 && frame_hash(frame->content) != frame->content_hash)
        return FRAME_BAD_CONTENT;
    return FRAME_OK;
}

/* --- the header of a journal segment ------------------------------------------------- */

void segment_header_encode(const struct segment_header *header, unsigned char out[SEGMENT_HEADER_SIZE])
{
    memset(out, 0, SEGMENT_HEADER_SIZE);
    put32(out, SEGMENT_MAGIC);
    out[4] = FRAME_VERSION;
    put64(out + 8, header->generation);
    put32(out + 16, header->serial_limit);
    put64(out + 24, (uint64_t)header->time_us);
    put64(out + CHECKED_SIZE, XXH3_64bits(out, CHECKED_SIZE));
}

bool segment_header_decode(const unsigned char bytes[SEGMENT_HEADER_SIZE], struct segment_header *header)
{
    if (get32(bytes) != SEGMENT_MAGIC || bytes[4] != FRAME_VERSION ||
        get64(bytes + CHECKED_SIZE) != XXH3_64bits(bytes, CHECKED_SIZE))
        return false;
    header->generation = get64(bytes + 8);
    header->serial_limit = get32(bytes + 16);
    header->time_us = (int64_t)get64(bytes + 24);
    return header->generation != 0;
}

/* --- bodies ------------------------------------------------------------------------------ */

#define STATE_MIN_SIZE 20 /* an index and four empty texts */

void retry_state_encode(const struct retry_state *state, struct str *out)
{
    ipc_put_u8(out, state->flags);
    ipc_put_u32(out, (uint32_t)state->count);
    for (size_t i = 0; i < state->count; i++) {
        const struct recipient_state *one = &state->recipients[i];
        ipc_put_u32(out, one->index);
        ipc_put_text(out, one->dsn);
        ipc_put_text(out, one->reason);
        ipc_put_text(out, one->remote_host);
        ipc_put_text(out, one->diagnostic);
    }
}

bool retry_state_decode(struct slice body, struct arena *arena, struct retry_state *state)
{
    struct ipc_reader reader = ipc_reader_of(body);
    state->flags = ipc_get_u8(&reader);
    state->count = ipc_get_count(&reader, STATE_MIN_SIZE);
    state->recipients = arena_alloc_array(arena, state->count, sizeof(struct recipient_state));
    for (size_t i = 0; i < state->count; i++) {
        struct recipient_state *one = &state->recipients[i];
        one->index = ipc_get_u32(&reader);
        one->dsn = ipc_get_text(&reader, arena);
        one->reason = ipc_get_text(&reader, arena);
        one->remote_host = ipc_get_text(&reader, arena);
        one->diagnostic = ipc_get_text(&reader, arena);
    }
    return ipc_reader_finish(&reader);
}

void done_encode(const uint32_t *indexes, size_t count, struct str *out)
{
    for (size_t i = 0; i < count; i++)
        ipc_put_u32(out, indexes[i]);
}

bool done_decode(struct slice body, struct arena *arena, uint32_t **indexes, size_t *count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *count = body.len / 4;
    *indexes = arena_alloc_array(arena, *count, sizeof(uint32_t));
    for (size_t i = 0; i < *count; i++)
        (*indexes)[i] = ipc_get_u32(&reader);
    return ipc_reader_finish(&reader);
}
