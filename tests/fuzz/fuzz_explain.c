/* SPDX-License-Identifier: ISC */
/* Fuzz target: the question of "posthorn explain" and the events that answer it. What decodes encodes to what decodes again. */
#include <stdint.h>
#include <stdlib.h>

#include "common/access/explain_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_request(struct slice body, struct arena *arena, struct str *out)
{
    struct explain_request request, again;
    if (!explain_request_decode(body, arena, &request))
        return;
    explain_request_encode(&request, out);
    if (!explain_request_decode(str_slice(out), arena, &again) || again.is_encrypted != request.is_encrypted)
        abort();
}

static void fuzz_events(struct slice body, struct arena *arena, struct str *out)
{
    struct trace_event *events, *again;
    size_t count, count_again;
    if (!trace_events_decode(body, arena, &events, &count))
        return;
    if (count > body.len / 16)
        abort();
    for (size_t i = 0; i < count; i++)
        trace_event_encode(&events[i], out);
    if (!trace_events_decode(str_slice(out), arena, &again, &count_again) || count_again != count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice body = {(const char *)data + 1, size - 1};
    struct arena *arena = arena_new();
    struct str out = STR_EMPTY;
    if (data[0] % 2 == 0)
        fuzz_request(body, arena, &out);
    else
        fuzz_events(body, arena, &out);
    str_free(&out);
    arena_free(arena);
    return 0;
}
