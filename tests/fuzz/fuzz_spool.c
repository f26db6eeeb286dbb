/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: everything that is read from a spool after a crash. The first byte chooses: a journal segment, a
 * message's own file, the body of a small frame, a control record. Checksums of the first frame are made good, or
 * nothing would ever get past them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/mail/control_protocol.h"
#include "common/spool/message_file.h"
#include "common/spool/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GENERATION 7

/* True when the bytes begin with a frame whose lengths fit. */
static bool repair(unsigned char *bytes, size_t size)
{
    struct frame frame;
    if (size < FRAME_HEADER_SIZE || frame_header_decode(bytes, &frame) != FRAME_OK)
        return false;
    if (frame.content_len > size - FRAME_HEADER_SIZE || frame.envelope_len > size - FRAME_HEADER_SIZE - frame.content_len)
        return false;
    frame_place(bytes, GENERATION, SEGMENT_DATA_OFFSET, 0);
    return true;
}

static void read_segment(const uint8_t *data, size_t size, struct arena *arena)
{
    struct scan scan;
    char *segment = mem_alloc(SEGMENT_DATA_OFFSET + size + 1);
    memcpy(segment + SEGMENT_DATA_OFFSET, data, size);
    repair((unsigned char *)segment + SEGMENT_DATA_OFFSET, size);
    segment_scan(slice_range(segment, SEGMENT_DATA_OFFSET + size), GENERATION, &scan);
    scan_settle(&scan, size % 3 == 0 ? (uint32_t)(SEGMENT_DATA_OFFSET + size / 2) : 0);
    for (size_t i = 0; i < scan.count; i++) {
        struct stored_message message;
        const struct scan_region *region = &scan.regions[i];
        if (region->kind == SCAN_FRAME && region->frame.type == FRAME_MESSAGE &&
            message_from_frame(slice_range(segment + region->offset, region->size), arena, &message) == STORED_OK)
            (void)message_apply(&message, &region->frame, arena);
    }
    scan_free(&scan);
    free(segment);
}

static void read_file(const uint8_t *data, size_t size, struct arena *arena)
{
    struct stored_message message;
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (message_file_read(fd, arena, &message) == STORED_OK && message.frame.content_len < size)
        (void)message_file_verify(fd, &message);
    close(fd);
}

static void read_records(const uint8_t *data, size_t size, struct arena *arena)
{
    struct slice body = slice_range((const char *)data, size);
    struct control_change change;
    struct control_content content;
    struct listed_message listed;
    struct retry_state state;
    uint32_t *indexes;
    size_t count;
    (void)control_change_decode(body, arena, &change);
    struct ipc_reader reader = ipc_reader_of(body);
    (void)control_content_decode(&reader, arena, &content);
    reader = ipc_reader_of(body);
    while (reader.left > 0 && listed_message_decode(&reader, arena, &listed))
        continue;
    (void)retry_state_decode(body, arena, &state);
    (void)done_decode(body, arena, &indexes, &count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    struct arena *arena = arena_new();
    if (data[0] % 3 == 0)
        read_segment(data + 1, size - 1, arena);
    else if (data[0] % 3 == 1)
        read_file(data + 1, size - 1, arena);
    else
        read_records(data + 1, size - 1, arena);
    arena_free(arena);
    return 0;
}
