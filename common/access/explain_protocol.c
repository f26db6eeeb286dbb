/* SPDX-License-Identifier: ISC */
/* explain_protocol: see the header. Used by services, and by the command that asks them. */
#include "common/access/explain_protocol.h"

#define SMALLEST_EVENT (1 + 1 + 2 + 3 * 4)

void explain_request_encode(const struct explain_request *request, struct str *out)
{
    const char *const texts[] = {request->address, request->port, request->name, request->reverse_name, request->helo,
                                 request->sender, request->recipient, request->login, request->mechanism,
                                 request->policy, request->known_sender, request->known_recipient};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ipc_put_text(out, texts[i]);
    ipc_put_bool(out, request->is_encrypted);
    ipc_put_bool(out, request->only_recalls);
}

bool explain_request_decode(struct slice body, struct arena *arena, struct explain_request *request)
{
    struct ipc_reader reader = ipc_reader_of(body);
    char **const texts[] = {&request->address, &request->port, &request->name, &request->reverse_name, &request->helo,
                            &request->sender, &request->recipient, &request->login, &request->mechanism,
                            &request->policy, &request->known_sender, &request->known_recipient};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = ipc_get_text(&reader, arena);
    request->is_encrypted = ipc_get_bool(&reader);
    request->only_recalls = ipc_get_bool(&reader);
    return ipc_reader_finish(&reader);
}

void trace_event_encode(const struct trace_event *event, struct str *out)
{
    ipc_put_u8(out, event->kind);
    ipc_put_u8(out, event->depth);
    ipc_put_u16(out, event->nth);
    ipc_put_text(out, event->name);
    ipc_put_text(out, event->text);
    ipc_put_text(out, event->result);
}

bool trace_events_decode(struct slice body, struct arena *arena, struct trace_event **events, size_t *count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *events = arena_alloc_array(arena, body.len / SMALLEST_EVENT + 1, sizeof **events);
    for (*count = 0; reader.left > 0 && !reader.failed; ++*count) {
        struct trace_event *event = &(*events)[*count];
        if (reader.left < SMALLEST_EVENT)
            return false;
        event->kind = ipc_get_u8(&reader);
        event->depth = ipc_get_u8(&reader);
        event->nth = ipc_get_u16(&reader);
        event->name = ipc_get_text(&reader, arena);
        event->text = ipc_get_text(&reader, arena);
        event->result = ipc_get_text(&reader, arena);
    }
    return ipc_reader_finish(&reader);
}
