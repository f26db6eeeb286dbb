/* SPDX-License-Identifier: ISC */
/* envelope: the one encoding of a message's envelope. Pure; fuzzed (spool files and IPC carry it). */
#include "common/mail/envelope.h"

#include <stdio.h>

#define ENVELOPE_VERSION 1
#define RECIPIENT_MIN_SIZE 13 /* three empty texts and the flags */

void recipient_encode(const struct recipient *recipient, struct str *out)
{
    ipc_put_text(out, recipient->address);
    ipc_put_text(out, recipient->original);
    ipc_put_text(out, recipient->dsn_original);
    ipc_put_u8(out, recipient->notify);
}

void recipient_decode(struct ipc_reader *reader, struct arena *arena, struct recipient *recipient)
{
    recipient->address = ipc_get_text(reader, arena);
    recipient->original = ipc_get_text(reader, arena);
    recipient->dsn_original = ipc_get_text(reader, arena);
    recipient->notify = ipc_get_u8(reader);
}

/* The text fields in the order in which they are written. */
#define TEXT_FIELD_COUNT 13
static void envelope_text_fields(struct envelope *envelope, char **fields[TEXT_FIELD_COUNT])
{
    char **in_order[TEXT_FIELD_COUNT] = {
        &envelope->sender,        &envelope->dsn_envelope_id, &envelope->client_name,
        &envelope->client_address, &envelope->client_port,    &envelope->helo_name,
        &envelope->protocol_name, &envelope->sasl_method,     &envelope->sasl_username,
        &envelope->sasl_sender,   &envelope->log_ident,       &envelope->content_filter,
        &envelope->message_id,
    };
    memcpy(fields, in_order, sizeof in_order);
}

void envelope_encode(const struct envelope *envelope, struct str *out)
{
    struct envelope copy = *envelope;
    char **fields[TEXT_FIELD_COUNT];
    ipc_put_u8(out, ENVELOPE_VERSION);
    ipc_put_text(out, envelope->queue_id);
    ipc_put_i64(out, envelope->arrival_us);
    ipc_put_u32(out, envelope->flags);
    ipc_put_u8(out, envelope->dsn_return);
    envelope_text_fields(&copy, fields);
    for (size_t i = 0; i < TEXT_FIELD_COUNT; i++)
        ipc_put_text(out, *fields[i]);
    ipc_put_u32(out, (uint32_t)envelope->recipient_count);
    for (size_t i = 0; i < envelope->recipient_count; i++)
        recipient_encode(&envelope->recipients[i], out);
}

static void queue_id_decode(struct ipc_reader *reader, char queue_id[QUEUE_ID_SIZE])
{
    struct slice text = ipc_get_slice(reader);
    bool good = text.len > 0 && text.len < QUEUE_ID_SIZE;
    for (size_t i = 0; good && i < text.len; i++)
        good = text_is_alnum(text.data[i]);
    if (!good)
        reader->failed = true;
    snprintf(queue_id, QUEUE_ID_SIZE, "%.*s", good ? (int)text.len : 0, text.data);
}

bool envelope_decode(struct ipc_reader *reader, struct arena *arena, struct envelope *envelope)
{
    char **fields[TEXT_FIELD_COUNT];
    *envelope = (struct envelope){0};
    if (ipc_get_u8(reader) != ENVELOPE_VERSION)
        reader->failed = true;
    queue_id_decode(reader, envelope->queue_id);
    envelope->arrival_us = ipc_get_i64(reader);
    envelope->flags = ipc_get_u32(reader);
    envelope->dsn_return = ipc_get_u8(reader);
    envelope_text_fields(envelope, fields);
    for (size_t i = 0; i < TEXT_FIELD_COUNT; i++)
        *fields[i] = ipc_get_text(reader, arena);
    envelope->recipient_count = ipc_get_count(reader, RECIPIENT_MIN_SIZE);
    envelope->recipients = arena_alloc_array(arena, envelope->recipient_count, sizeof(struct recipient));
    for (size_t i = 0; i < envelope->recipient_count; i++)
        recipient_decode(reader, arena, &envelope->recipients[i]);
    return !reader->failed;
}
