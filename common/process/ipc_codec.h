/* SPDX-License-Identifier: ISC */
/*
 * The fields of an IPC record: little-endian integers and length-prefixed bytes. A reader that runs past
 * the end, or a record not consumed to its end, is a protocol violation. Pure; fuzzed.
 */
#ifndef POSTHORN_PROCESS_IPC_CODEC_H
#define POSTHORN_PROCESS_IPC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"

/* Writing: appends to a str. */
void ipc_put_u8(struct str *out, uint8_t value);
void ipc_put_u16(struct str *out, uint16_t value);
void ipc_put_u32(struct str *out, uint32_t value);
void ipc_put_u64(struct str *out, uint64_t value);
void ipc_put_i64(struct str *out, int64_t value);
void ipc_put_bool(struct str *out, bool value);
void ipc_put_slice(struct str *out, struct slice bytes); /* up to 4 GB */
void ipc_put_text(struct str *out, const char *text);    /* NULL is written as "" */

/* Reading: after the first failure every get returns zero or an empty slice. */
struct ipc_reader {
    const unsigned char *data;
    size_t left;
    bool failed;
};
struct ipc_reader ipc_reader_of(struct slice body);
uint8_t ipc_get_u8(struct ipc_reader *reader);
uint16_t ipc_get_u16(struct ipc_reader *reader);
uint32_t ipc_get_u32(struct ipc_reader *reader);
uint64_t ipc_get_u64(struct ipc_reader *reader);
int64_t ipc_get_i64(struct ipc_reader *reader);
bool ipc_get_bool(struct ipc_reader *reader); /* anything but 0 and 1 is a failure */
struct slice ipc_get_slice(struct ipc_reader *reader); /* borrowed from the body */
/* A text without NUL bytes, copied into the arena. */
char *ipc_get_text(struct ipc_reader *reader, struct arena *arena);
/* A count of items that each take at least min_size bytes: fails when they cannot all be there. */
size_t ipc_get_count(struct ipc_reader *reader, size_t min_size);
/* True when everything was read and nothing failed. */
bool ipc_reader_finish(const struct ipc_reader *reader) MUST_CHECK;

#endif
