/* SPDX-License-Identifier: ISC */
/* ipc_codec: fields of IPC records. Pure; every role trusts it with bytes from other roles. */
#include "common/process/ipc_codec.h"

#include <endian.h>

void ipc_put_u8(struct str *out, uint8_t value)
{
    str_append_bytes(out, &value, 1);
}

void ipc_put_u16(struct str *out, uint16_t value)
{
    value = htole16(value);
    str_append_bytes(out, &value, sizeof value);
}

void ipc_put_u32(struct str *out, uint32_t value)
{
    value = htole32(value);
    str_append_bytes(out, &value, sizeof value);
}

void ipc_put_u64(struct str *out, uint64_t value)
{
    value = htole64(value);
    str_append_bytes(out, &value, sizeof value);
}

void ipc_put_i64(struct str *out, int64_t value)
{
    ipc_put_u64(out, (uint64_t)value);
}

void ipc_put_bool(struct str *out, bool value)
{
    ipc_put_u8(out, value ? 1 : 0);
}

void ipc_put_slice(struct str *out, struct slice bytes)
{
    ipc_put_u32(out, (uint32_t)bytes.len);
    str_append_slice(out, bytes);
}

void ipc_put_text(struct str *out, const char *text)
{
    ipc_put_slice(out, slice_of(text));
}

struct ipc_reader ipc_reader_of(struct slice body)
{
    return (struct ipc_reader){(const unsigned char *)body.data, body.len, false};
}

static bool ipc_get_bytes(struct ipc_reader *reader, void *data, size_t len)
{
    if (reader->failed || reader->left < len) {
        reader->failed = true;
        memset(data, 0, len);
        return false;
    }
    memcpy(data, reader->data, len);
    reader->data += len;
    reader->left -= len;
    return true;
}

uint8_t ipc_get_u8(struct ipc_reader *reader)
{
    uint8_t value;
    ipc_get_bytes(reader, &value, sizeof value);
    return value;
}

uint16_t ipc_get_u16(struct ipc_reader *reader)
{
    uint16_t value;
    ipc_get_bytes(reader, &value, sizeof value);
    return le16toh(value);
}

uint32_t ipc_get_u32(struct ipc_reader *reader)
{
    uint32_t value;
    ipc_get_bytes(reader, &value, sizeof value);
    return le32toh(value);
}

uint64_t ipc_get_u64(struct ipc_reader *reader)
{
    uint64_t value;
    ipc_get_bytes(reader, &value, sizeof value);
    return le64toh(value);
}

int64_t ipc_get_i64(struct ipc_reader *reader)
{
    return (int64_t)ipc_get_u64(reader);
}

bool ipc_get_bool(struct ipc_reader *reader)
{
    uint8_t value = ipc_get_u8(reader);
    if (value > 1)
        reader->failed = true;
    return value == 1;
}

struct slice ipc_get_slice(struct ipc_reader *reader)
{
    size_t len = ipc_get_u32(reader);
    if (reader->failed || reader->left < len) {
        reader->failed = true;
        return SLICE("");
    }
    struct slice bytes = {(const char *)reader->data, len};
    reader->data += len;
    reader->left -= len;
    return bytes;
}

char *ipc_get_text(struct ipc_reader *reader, struct arena *arena)
{
    struct slice bytes = ipc_get_slice(reader);
    if (bytes.len > 0 && memchr(bytes.data, '\0', bytes.len) != NULL) {
        reader->failed = true;
        bytes = SLICE("");
    }
    return arena_slice(arena, bytes);
}

size_t ipc_get_count(struct ipc_reader *reader, size_t min_size)
{
    size_t count = ipc_get_u32(reader);
    if (min_size == 0 || count > reader->left / min_size) {
        reader->failed = reader->failed || count > 0;
        return 0;
    }
    return count;
}

bool ipc_reader_finish(const struct ipc_reader *reader)
{
    return !reader->failed && reader->left == 0;
}
