/* SPDX-License-Identifier: ISC */
/* control_protocol: encoding of what commands ask the queue, and of its answers. Pure; fuzzed from both sides. */
#include "common/mail/control_protocol.h"

const char *control_queue_name(uint8_t queue)
{
    switch (queue) {
    case CONTROL_IN_INCOMING:
        return "incoming";
    case CONTROL_IN_ACTIVE:
        return "active";
    case CONTROL_IN_HOLD:
        return "hold";
    default:
        return "deferred";
    }
}

void control_change_encode(const struct control_change *change, struct str *out)
{
    ipc_put_u8(out, change->action);
    ipc_put_u8(out, change->queues);
    ipc_put_bool(out, change->all);
    ipc_put_u32(out, (uint32_t)change->id_count);
    for (size_t i = 0; i < change->id_count; i++)
        ipc_put_text(out, change->ids[i]);
}

bool control_change_decode(struct slice body, struct arena *arena, struct control_change *change)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *change = (struct control_change){0};
    change->action = ipc_get_u8(&reader);
    change->queues = ipc_get_u8(&reader);
    change->all = ipc_get_bool(&reader);
    change->id_count = ipc_get_count(&reader, 4);
    change->ids = arena_alloc_array(arena, change->id_count, sizeof *change->ids);
    for (size_t i = 0; i < change->id_count; i++)
        change->ids[i] = ipc_get_text(&reader, arena);
    return change->action >= CONTROL_DELETE && change->action <= CONTROL_EXPIRE_RELEASE &&
           ipc_reader_finish(&reader);
}

void listed_message_encode(const struct listed_message *message, struct str *out)
{
    ipc_put_text(out, message->queue_id);
    ipc_put_u8(out, message->queue);
    ipc_put_bool(out, message->forced_expire);
    ipc_put_i64(out, message->arrival_s);
    ipc_put_u64(out, message->size);
    ipc_put_text(out, message->sender);
    ipc_put_u32(out, (uint32_t)message->recipient_count);
    for (size_t i = 0; i < message->recipient_count; i++) {
        ipc_put_text(out, message->recipients[i].address);
        ipc_put_text(out, message->recipients[i].reason);
    }
}

bool listed_message_decode(struct ipc_reader *reader, struct arena *arena, struct listed_message *message)
{
    *message = (struct listed_message){0};
    message->queue_id = ipc_get_text(reader, arena);
    message->queue = ipc_get_u8(reader);
    message->forced_expire = ipc_get_bool(reader);
    message->arrival_s = ipc_get_i64(reader);
    message->size = ipc_get_u64(reader);
    message->sender = ipc_get_text(reader, arena);
    message->recipient_count = ipc_get_count(reader, 8);
    message->recipients = arena_alloc_array(arena, message->recipient_count, sizeof *message->recipients);
    for (size_t i = 0; i < message->recipient_count; i++) {
        message->recipients[i].address = ipc_get_text(reader, arena);
        message->recipients[i].reason = ipc_get_text(reader, arena);
    }
    return !reader->failed;
}

void control_content_encode(const struct control_content *content, struct str *out)
{
    ipc_put_u8(out, content->queue);
    envelope_encode(&content->envelope, out);
    for (size_t i = 0; i < content->envelope.recipient_count; i++)
        ipc_put_bool(out, content->done[i]);
    ipc_put_u64(out, content->content_offset);
    ipc_put_u64(out, content->content_size);
    ipc_put_bool(out, content->in_file);
    ipc_put_slice(out, content->content);
}

bool control_content_decode(struct ipc_reader *reader, struct arena *arena, struct control_content *content)
{
    *content = (struct control_content){0};
    content->queue = ipc_get_u8(reader);
    if (!envelope_decode(reader, arena, &content->envelope))
        return false;
    content->done = arena_alloc_array(arena, content->envelope.recipient_count, sizeof(bool));
    for (size_t i = 0; i < content->envelope.recipient_count; i++)
        content->done[i] = ipc_get_bool(reader);
    content->content_offset = ipc_get_u64(reader);
    content->content_size = ipc_get_u64(reader);
    content->in_file = ipc_get_bool(reader);
    content->content = ipc_get_slice(reader);
    return ipc_reader_finish(reader);
}
