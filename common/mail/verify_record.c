/* SPDX-License-Identifier: ISC */
/* verify_record: encoding of verification results, questions and answers. Pure; fuzzed. */
#include "common/mail/verify_record.h"

#define ENTRY_VERSION 1

static struct slice bounded(const char *text)
{
    struct slice slice = slice_of(text);
    if (slice.len > VERIFY_TEXT_LIMIT)
        slice.len = VERIFY_TEXT_LIMIT;
    return slice;
}

void verify_entry_encode(const struct verify_entry *entry, struct str *out)
{
    ipc_put_u8(out, ENTRY_VERSION);
    ipc_put_u8(out, entry->status);
    ipc_put_i64(out, entry->updated);
    ipc_put_slice(out, bounded(entry->text));
}

bool verify_entry_decode(struct slice value, struct arena *arena, struct verify_entry *entry)
{
    struct ipc_reader reader = ipc_reader_of(value);
    uint8_t version = ipc_get_u8(&reader);
    entry->status = ipc_get_u8(&reader);
    entry->updated = ipc_get_i64(&reader);
    entry->text = ipc_get_text(&reader, arena);
    return ipc_reader_finish(&reader) && version == ENTRY_VERSION && entry->status < VERIFY_UNKNOWN;
}

void verify_question_encode(const struct verify_question *question, struct str *out)
{
    ipc_put_text(out, question->address);
    ipc_put_u8(out, question->flags);
}

bool verify_question_decode(struct slice body, struct arena *arena, struct verify_question *question)
{
    struct ipc_reader reader = ipc_reader_of(body);
    question->address = ipc_get_text(&reader, arena);
    question->flags = ipc_get_u8(&reader);
    return ipc_reader_finish(&reader) && *question->address != '\0' && question->flags <= VERIFY_KNOWN_GOOD;
}

void verify_answer_encode(enum verify_status status, const char *text, struct str *out)
{
    ipc_put_u8(out, (uint8_t)status);
    ipc_put_slice(out, bounded(text));
}

bool verify_answer_decode(struct slice body, struct arena *arena, enum verify_status *status, char **text)
{
    struct ipc_reader reader = ipc_reader_of(body);
    uint8_t value = ipc_get_u8(&reader);
    *status = (enum verify_status)value;
    *text = ipc_get_text(&reader, arena);
    return ipc_reader_finish(&reader) && value <= VERIFY_UNKNOWN;
}
