/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what a role gets from the supervisor and the supervisor from a role, and the name column of an inet
 * service. The first byte chooses; what decodes must encode to bytes that decode again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/process/master_protocol.h"
#include "master/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_start(struct slice body, struct arena *arena, struct str *out)
{
    struct start_record record, again;
    if (!start_record_decode(body, arena, &record))
        return;
    start_record_encode(&record, out);
    if (!start_record_decode(str_slice(out), arena, &again) || again.listener_count != record.listener_count)
        abort();
}

static void fuzz_peer(struct slice body, struct arena *arena, struct str *out)
{
    struct peer_record record, again;
    if (!peer_record_decode(body, arena, &record))
        return;
    peer_record_encode(&record, out);
    if (!peer_record_decode(str_slice(out), arena, &again) || again.is_client != record.is_client)
        abort();
}

static void fuzz_probe(struct slice body, struct arena *arena, struct str *out)
{
    struct probe_result *results, *again;
    size_t count, count_again;
    if (!probe_results_decode(body, arena, &results, &count))
        return;
    probe_results_encode(results, count, out);
    if (!probe_results_decode(str_slice(out), arena, &again, &count_again) || count != count_again)
        abort();
}

static void fuzz_endpoint(struct slice body, struct arena *arena)
{
    char *host, *port;
    if (!plan_split_endpoint(arena_slice(arena, body), &host, &port))
        return;
    if (*port == '\0')
        abort();
    free(host);
    free(port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice body = slice_range((const char *)data + 1, size - 1);
    struct arena *arena = arena_new();
    struct str out = STR_EMPTY;
    switch (data[0] % 4) {
    case 0:
        fuzz_start(body, arena, &out);
        break;
    case 1:
        fuzz_peer(body, arena, &out);
        break;
    case 2:
        fuzz_probe(body, arena, &out);
        break;
    default:
        fuzz_endpoint(body, arena);
    }
    str_free(&out);
    arena_free(arena);
    return 0;
}
