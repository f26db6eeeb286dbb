/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the records that roles exchange. The first byte chooses the decoder; what decodes must
 * encode to bytes that decode again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/lookup_protocol.h"
#include "common/mail/queue_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROUND_TRIP(type, decode, encode) \
    do { \
        struct type value, again; \
        if (decode(body, arena, &value)) { \
            encode(&value, &out); \
            if (!decode(str_slice(&out), arena, &again)) \
                abort(); \
        } \
    } while (0)

static void fuzz_lists(uint8_t kind, struct slice body, struct arena *arena)
{
    char *sender, **addresses;
    struct route *routes;
    size_t count;
    uint32_t serial;
    if (kind == 6 && route_question_decode(body, arena, &sender, &addresses, &count) && count > body.len)
        abort();
    if (kind == 7 && route_answer_decode(body, arena, &routes, &count) && count > body.len)
        abort();
    if (kind == 8)
        (void)queue_id_serial(body, &serial);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice body = {(const char *)data + 1, size - 1};
    struct arena *arena = arena_new();
    struct str out = STR_EMPTY;
    switch (data[0] % 9) {
    case 0: ROUND_TRIP(submission, submission_decode, submission_encode); break;
    case 1: ROUND_TRIP(delivery, delivery_decode, delivery_encode); break;
    case 2: ROUND_TRIP(delivery_result, delivery_result_decode, delivery_result_encode); break;
    case 3: ROUND_TRIP(table_question, table_question_decode, table_question_encode); break;
    case 4: ROUND_TRIP(table_answer, table_answer_decode, table_answer_encode); break;
    case 5: ROUND_TRIP(address_answer, address_answer_decode, address_answer_encode); break;
    default: fuzz_lists(data[0] % 9, body, arena); break;
    }
    str_free(&out);
    arena_free(arena);
    return 0;
}
