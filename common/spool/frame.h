/* SPDX-License-Identifier: ISC */
/*
 * The spool's file format, docs/spool.md: frames, segment headers and the bodies of small frames.
 * Pure encoding and decoding; nothing here touches a file. Fuzzed.
 *
 * A frame is a header of 64 bytes, content, envelope and padding to 8 bytes. In a journal segment frames
 * follow one another; a message's own file holds one MESSAGE frame whose content starts at
 * FILE_CONTENT_OFFSET, and then frames of state.
 */
#ifndef POSTHORN_SPOOL_FRAME_H
#define POSTHORN_SPOOL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"

#define FRAME_HEADER_SIZE 64u
#define FRAME_VERSION 1
#define FRAME_LARGEST_ENVELOPE (48u * 1024 * 1024)
#define FILE_CONTENT_OFFSET 4096u  /* in a message's own file */
#define SEGMENT_DATA_OFFSET 8192u  /* two header blocks come before */
#define SEGMENT_HEADER_SIZE 64u

enum frame_type {
    FRAME_MESSAGE = 1, /* content and envelope */
    FRAME_DONE = 2,    /* body: u32 indexes of settled recipients; empty: the message left this place */
    FRAME_STATE = 3,   /* body: struct retry_state */
};

enum frame_flags {
    FRAME_OWN_FILE = 1, /* the content starts at FILE_CONTENT_OFFSET instead of behind the header */
};

struct frame {
    uint8_t type;          /* enum frame_type */
    uint16_t flags;        /* enum frame_flags */
    uint64_t generation;   /* of the journal segment; 0 in a message's own file */
    uint32_t serial;
    uint32_t envelope_len; /* or the length of the body */
    uint64_t content_len;
    int64_t time_us;       /* wall clock, when it was written */
    uint32_t synced_end;   /* journal: all before this offset was on stable storage when this was written */
    uint32_t prior_end;    /* journal: where the log ended in the segment before this one */
    uint64_t content_hash; /* XXH3 of the content */
    struct slice content;  /* borrowed; empty when flags has FRAME_OWN_FILE */
    struct slice envelope; /* borrowed */
};

/* Bytes that a frame takes in a journal, or behind FRAME_OWN_FILE's content. */
size_t frame_size(size_t content_len, size_t envelope_len);
/* Where the frames of state begin in a message's own file. */
uint64_t frame_file_end(uint64_t content_len, uint32_t envelope_len);
uint64_t frame_hash(struct slice bytes);

/* Writes the header (64 bytes) of a frame whose envelope is given; frame->content is not looked at. */
void frame_seal(const struct frame *frame, struct slice envelope, unsigned char header[FRAME_HEADER_SIZE]);
/* Fills in where a sealed frame is about to be written in the journal, and its checksum. frame: header, content
 * and envelope in one piece. */
void frame_place(unsigned char *frame, uint64_t generation, uint32_t synced_end, uint32_t prior_end);
/* Appends a whole small frame (DONE, STATE) with its padding. */
void frame_append(const struct frame *frame, struct slice body, struct str *out);

enum frame_status {
    FRAME_OK = 0,
    FRAME_NONE,        /* no frame begins here */
    FRAME_DAMAGED,     /* one may have begun here: bad lengths or checksum */
    FRAME_BAD_CONTENT, /* header and envelope are good, the content is not what was written */
};

/* Where the next frame may begin, in steps of 8 bytes from *from* on; bytes.len when nowhere. */
size_t frame_find(struct slice bytes, size_t from);

/* Reads the fields of a header; lengths are checked against limits, the checksum is not. */
enum frame_status frame_header_decode(const unsigned char header[FRAME_HEADER_SIZE], struct frame *frame) MUST_CHECK;
/* Whether header and envelope belong together. */
bool frame_check(const unsigned char header[FRAME_HEADER_SIZE], struct slice envelope) MUST_CHECK;
/* The frame at the start of these bytes, with all its checksums verified. */
enum frame_status frame_parse(struct slice bytes, struct frame *frame) MUST_CHECK;

/* --- the header of a journal segment ------------------------------------------------- */

struct segment_header {
    uint64_t generation;   /* unique and growing over all segments: the order of the log */
    uint32_t serial_limit; /* no serial from here on (modulo 2^32) had been given out */
    int64_t time_us;
};

void segment_header_encode(const struct segment_header *header, unsigned char out[SEGMENT_HEADER_SIZE]);
/* False: not a header of ours, or damaged. */
bool segment_header_decode(const unsigned char bytes[SEGMENT_HEADER_SIZE], struct segment_header *header) MUST_CHECK;

/* --- bodies ------------------------------------------------------------------------------ */

struct recipient_state {
    uint32_t index;
    char *dsn, *reason, *remote_host, *diagnostic;
};

enum retry_flags {
    RETRY_DELAY_WARNED = 1, /* the sender has had a delayed-mail notice */
    RETRY_EXPIRE = 2,       /* to be returned at the next attempt (postsuper -e) */
};

struct retry_state {
    uint8_t flags; /* enum retry_flags */
    struct recipient_state *recipients;
    size_t count;
};

void retry_state_encode(const struct retry_state *state, struct str *out);
bool retry_state_decode(struct slice body, struct arena *arena, struct retry_state *state) MUST_CHECK;

void done_encode(const uint32_t *indexes, size_t count, struct str *out);
bool done_decode(struct slice body, struct arena *arena, uint32_t **indexes, size_t *count) MUST_CHECK;

#endif
