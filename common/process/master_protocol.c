/* SPDX-License-Identifier: ISC */
/*
 * master_protocol: the records between supervisor and roles as bytes. Called by both; pure, fuzzed.
 * A record that is too short, too long or out of range is refused whole.
 */
#include "common/process/master_protocol.h"

#include "common/base/log.h"
#include "common/process/ipc_codec.h"
#include "common/process/role.h"

#define START_MAGIC 0x50485331u /* "PHS1": both ends come from the same build */

void start_record_encode(const struct start_record *record, struct str *out)
{
    ipc_put_u32(out, START_MAGIC);
    ipc_put_u8(out, record->role);
    ipc_put_text(out, record->service);
    ipc_put_u8(out, record->log_sink);
    ipc_put_bool(out, record->has_log);
    ipc_put_bool(out, record->verbose);
    ipc_put_bool(out, record->drop_ids);
    ipc_put_u32(out, record->uid);
    ipc_put_u32(out, record->gid);
    ipc_put_text(out, record->empty_root);
    ipc_put_u32(out, (uint32_t)record->listener_count);
    for (size_t i = 0; i < record->listener_count; i++)
        ipc_put_text(out, record->listeners[i]);
}

bool start_record_decode(struct slice body, struct arena *arena, struct start_record *record)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *record = (struct start_record){0};
    if (ipc_get_u32(&reader) != START_MAGIC)
        return false;
    record->role = ipc_get_u8(&reader);
    record->service = ipc_get_text(&reader, arena);
    record->log_sink = ipc_get_u8(&reader);
    record->has_log = ipc_get_bool(&reader);
    record->verbose = ipc_get_bool(&reader);
    record->drop_ids = ipc_get_bool(&reader);
    record->uid = ipc_get_u32(&reader);
    record->gid = ipc_get_u32(&reader);
    record->empty_root = ipc_get_text(&reader, arena);
    size_t count = ipc_get_count(&reader, sizeof(uint32_t));
    if (count > ROLE_LISTENER_LIMIT)
        return false;
    record->listeners = arena_alloc_array(arena, count + 1, sizeof *record->listeners);
    for (size_t i = 0; i < count; i++)
        record->listeners[i] = ipc_get_text(&reader, arena);
    record->listener_count = count;
    return ipc_reader_finish(&reader) && record->role < ROLE_COUNT && record->log_sink <= LOG_TO_SYSLOG;
}

void peer_record_encode(const struct peer_record *record, struct str *out)
{
    ipc_put_u8(out, record->role);
    ipc_put_text(out, record->service);
    ipc_put_bool(out, record->is_client);
}

bool peer_record_decode(struct slice body, struct arena *arena, struct peer_record *record)
{
    struct ipc_reader reader = ipc_reader_of(body);
    record->role = ipc_get_u8(&reader);
    record->service = ipc_get_text(&reader, arena);
    record->is_client = ipc_get_bool(&reader);
    return ipc_reader_finish(&reader) && record->role < ROLE_COUNT;
}

void probe_results_encode(const struct probe_result *results, size_t count, struct str *out)
{
    ipc_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        ipc_put_text(out, results[i].what);
        ipc_put_u32(out, results[i].error);
    }
}

bool probe_results_decode(struct slice body, struct arena *arena, struct probe_result **results,
                          size_t *count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *count = ipc_get_count(&reader, 2 * sizeof(uint32_t));
    *results = arena_alloc_array(arena, *count + 1, sizeof **results);
    for (size_t i = 0; i < *count; i++) {
        (*results)[i].what = ipc_get_text(&reader, arena);
        (*results)[i].error = ipc_get_u32(&reader);
    }
    return ipc_reader_finish(&reader);
}
