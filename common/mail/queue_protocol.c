/* SPDX-License-Identifier: ISC */
/* queue_protocol: encoding of submissions, deliveries and results. Pure; fuzzed from both sides. */
#include "common/mail/queue_protocol.h"

void submission_encode(const struct submission *submission, struct str *out)
{
    ipc_put_u32(out, submission->serial);
    envelope_encode(&submission->envelope, out);
    ipc_put_bool(out, submission->in_file);
    ipc_put_u64(out, submission->content_size);
    ipc_put_u64(out, submission->content_hash);
    ipc_put_slice(out, submission->content);
}

bool submission_decode(struct slice body, struct arena *arena, struct submission *submission)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *submission = (struct submission){0};
    submission->serial = ipc_get_u32(&reader);
    if (!envelope_decode(&reader, arena, &submission->envelope))
        return false;
    submission->in_file = ipc_get_bool(&reader);
    submission->content_size = ipc_get_u64(&reader);
    submission->content_hash = ipc_get_u64(&reader);
    submission->content = ipc_get_slice(&reader);
    if (submission->in_file ? submission->content.len != 0 :
                              submission->content.len != submission->content_size)
        return false;
    return ipc_reader_finish(&reader);
}

void delivery_encode(const struct delivery *delivery, struct str *out)
{
    envelope_encode(&delivery->envelope, out);
    ipc_put_text(out, delivery->transport);
    ipc_put_text(out, delivery->next_hop);
    ipc_put_i64(out, delivery->active_us);
    ipc_put_bool(out, delivery->in_file);
    ipc_put_u64(out, delivery->content_offset);
    ipc_put_u64(out, delivery->content_size);
    ipc_put_u64(out, delivery->content_hash);
    ipc_put_u32(out, (uint32_t)delivery->recipient_count);
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        ipc_put_u32(out, delivery->recipients[i].index);
        recipient_encode(&delivery->recipients[i].to, out);
    }
    ipc_put_slice(out, delivery->content);
}

bool delivery_decode(struct slice body, struct arena *arena, struct delivery *delivery)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *delivery = (struct delivery){0};
    if (!envelope_decode(&reader, arena, &delivery->envelope))
        return false;
    delivery->transport = ipc_get_text(&reader, arena);
    delivery->next_hop = ipc_get_text(&reader, arena);
    delivery->active_us = ipc_get_i64(&reader);
    delivery->in_file = ipc_get_bool(&reader);
    delivery->content_offset = ipc_get_u64(&reader);
    delivery->content_size = ipc_get_u64(&reader);
    delivery->content_hash = ipc_get_u64(&reader);
    delivery->recipient_count = ipc_get_count(&reader, 17);
    delivery->recipients =
        arena_alloc_array(arena, delivery->recipient_count, sizeof(struct delivery_recipient));
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        delivery->recipients[i].index = ipc_get_u32(&reader);
        recipient_decode(&reader, arena, &delivery->recipients[i].to);
    }
    delivery->content = ipc_get_slice(&reader);
    if (delivery->in_file ? delivery->content.len != 0 : delivery->content.len != delivery->content_size)
        return false;
    return ipc_reader_finish(&reader);
}

void delivery_result_encode(const struct delivery_result *result, struct str *out)
{
    ipc_put_bool(out, result->host_unreachable);
    ipc_put_text(out, result->reason);
    ipc_put_u32(out, (uint32_t)result->recipient_count);
    for (size_t i = 0; i < result->recipient_count; i++) {
        const struct recipient_result *one = &result->recipients[i];
        ipc_put_u32(out, one->index);
        ipc_put_u8(out, one->status);
        ipc_put_text(out, one->dsn);
        ipc_put_text(out, one->reason);
        ipc_put_text(out, one->remote_host);
        ipc_put_text(out, one->diagnostic);
        ipc_put_bool(out, one->dsn_relayed);
    }
}

bool delivery_result_decode(struct slice body, struct arena *arena, struct delivery_result *result)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *result = (struct delivery_result){0};
    result->host_unreachable = ipc_get_bool(&reader);
    result->reason = ipc_get_text(&reader, arena);
    result->recipient_count = ipc_get_count(&reader, 22);
    result->recipients =
        arena_alloc_array(arena, result->recipient_count, sizeof(struct recipient_result));
    for (size_t i = 0; i < result->recipient_count; i++) {
        struct recipient_result *one = &result->recipients[i];
        one->index = ipc_get_u32(&reader);
        one->status = ipc_get_u8(&reader);
        one->dsn = ipc_get_text(&reader, arena);
        one->reason = ipc_get_text(&reader, arena);
        one->remote_host = ipc_get_text(&reader, arena);
        one->diagnostic = ipc_get_text(&reader, arena);
        one->dsn_relayed = ipc_get_bool(&reader);
        if (one->status > DELIVERY_CORRUPT)
            return false;
    }
    return ipc_reader_finish(&reader);
}
