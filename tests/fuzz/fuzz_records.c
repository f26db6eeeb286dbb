/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the records that roles exchange. The first byte chooses the decoder; what decodes must
 * encode to bytes that decode again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/cleanup_protocol.h"
#include "common/mail/lookup_protocol.h"
#include "common/mail/queue_protocol.h"

static void fuzz_many_questions(struct slice body, struct arena *arena)
{
    struct table_question *questions;
    struct table_answer answers[3];
    struct str out = STR_EMPTY;
    size_t count;
    if (table_questions_decode(body, arena, &questions, &count)) {
        table_questions_encode(questions, count, &out);
        if (!slice_equal(str_slice(&out), body))
            abort();
    }
    if (table_answers_decode(body, arena, answers, 3)) {
        str_clear(&out);
        for (size_t i = 0; i < 3; i++)
            table_answer_encode(&answers[i], &out);
        if (!slice_equal(str_slice(&out), body))
            abort();
    }
    str_free(&out);
}

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

static void fuzz_check_question(struct slice body, struct arena *arena)
{
    struct check_question question;
    struct slice line;
    uint8_t group;
    if (!check_question_decode(body, arena, &question))
        return;
    for (size_t i = 0; i < question.line_count && check_question_next(&question, &group, &line); i++)
        if (line.len > body.len || group >= question.group_count)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice body = {(const char *)data + 1, size - 1};
    struct arena *arena = arena_new();
    struct str out = STR_EMPTY;
    switch (data[0] % 14) {
    case 0: ROUND_TRIP(submission, submission_decode, submission_encode); break;
    case 1: ROUND_TRIP(delivery, delivery_decode, delivery_encode); break;
    case 2: ROUND_TRIP(delivery_result, delivery_result_decode, delivery_result_encode); break;
    case 3: ROUND_TRIP(table_question, table_question_decode, table_question_encode); break;
    case 4: ROUND_TRIP(table_answer, table_answer_decode, table_answer_encode); break;
    case 5: ROUND_TRIP(address_answer, address_answer_decode, address_answer_encode); break;
    case 9: ROUND_TRIP(rewrite_question, rewrite_question_decode, rewrite_question_encode); break;
    case 10: ROUND_TRIP(rewrite_answer, rewrite_answer_decode, rewrite_answer_encode); break;
    case 11: ROUND_TRIP(check_answer, check_answer_decode, check_answer_encode); break;
    case 12: fuzz_check_question(body, arena); break;
    case 13: fuzz_many_questions(body, arena); break;
    default: fuzz_lists(data[0] % 14, body, arena); break;
    }
    str_free(&out);
    arena_free(arena);
    return 0;
}
