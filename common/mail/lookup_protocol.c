/* SPDX-License-Identifier: ISC */
/* lookup_protocol: encoding of questions to lookup and its answers. Pure; fuzzed. */
#include "common/mail/lookup_protocol.h"

void table_question_encode(const struct table_question *question, struct str *out)
{
    ipc_put_text(out, question->maps);
    ipc_put_u8(out, question->kind);
    ipc_put_text(out, question->parameter);
    ipc_put_text(out, question->key);
}

static bool take_question(struct ipc_reader *reader, struct arena *arena, struct table_question *question)
{
    question->maps = ipc_get_text(reader, arena);
    question->kind = ipc_get_u8(reader);
    question->parameter = ipc_get_text(reader, arena);
    question->key = ipc_get_text(reader, arena);
    return !reader->failed && question->kind <= KEY_NETWORK;
}

bool table_question_decode(struct slice body, struct arena *arena, struct table_question *question)
{
    struct ipc_reader reader = ipc_reader_of(body);
    bool is_good = take_question(&reader, arena, question);
    return ipc_reader_finish(&reader) && is_good;
}

void table_answer_encode(const struct table_answer *answer, struct str *out)
{
    ipc_put_u8(out, answer->status);
    ipc_put_text(out, answer->value);
    ipc_put_text(out, answer->table);
}

static bool take_answer(struct ipc_reader *reader, struct arena *arena, struct table_answer *answer)
{
    answer->status = ipc_get_u8(reader);
    answer->value = ipc_get_text(reader, arena);
    answer->table = ipc_get_text(reader, arena);
    return !reader->failed && answer->status <= TABLE_ERROR;
}

bool table_answer_decode(struct slice body, struct arena *arena, struct table_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    bool is_good = take_answer(&reader, arena, answer);
    return ipc_reader_finish(&reader) && is_good;
}

/* --- many at once ---------------------------------------------------------------------- */

#define SMALLEST_QUESTION (3 * 4 + 1)

void table_questions_encode(const struct table_question *questions, size_t count, struct str *out)
{
    ipc_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        table_question_encode(&questions[i], out);
}

bool table_questions_decode(struct slice body, struct arena *arena, struct table_question **questions, size_t *count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *count = ipc_get_count(&reader, SMALLEST_QUESTION);
    *questions = arena_alloc_array(arena, *count, sizeof **questions);
    bool is_good = true;
    for (size_t i = 0; i < *count && is_good; i++)
        is_good = take_question(&reader, arena, &(*questions)[i]);
    return ipc_reader_finish(&reader) && is_good;
}

bool table_answers_decode(struct slice body, struct arena *arena, struct table_answer *answers, size_t count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    bool is_good = true;
    for (size_t i = 0; i < count && is_good; i++)
        is_good = take_answer(&reader, arena, &answers[i]);
    return ipc_reader_finish(&reader) && is_good;
}

void address_answer_encode(const struct address_answer *answer, struct str *out)
{
    ipc_put_u8(out, answer->address_class);
    ipc_put_u8(out, answer->validity);
    ipc_put_text(out, answer->address);
    ipc_put_text(out, answer->unknown_in);
    ipc_put_text(out, answer->failed_table);
    ipc_put_text(out, answer->transport);
    ipc_put_text(out, answer->next_hop);
    ipc_put_bool(out, answer->expansion_failed);
    ipc_put_text(out, answer->expansion_reason);
    ipc_put_bool(out, answer->routed);
    ipc_put_bool(out, answer->bad_syntax);
    ipc_put_u32(out, (uint32_t)answer->expanded_count);
    for (size_t i = 0; i < answer->expanded_count; i++)
        ipc_put_text(out, answer->expanded[i]);
    ipc_put_text(out, answer->canonical);
    ipc_put_u32(out, (uint32_t)answer->copy_count);
    for (size_t i = 0; i < answer->copy_count; i++)
        recipient_encode(&answer->copies[i], out);
}

bool address_answer_decode(struct slice body, struct arena *arena, struct address_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    answer->address_class = ipc_get_u8(&reader);
    answer->validity = ipc_get_u8(&reader);
    answer->address = ipc_get_text(&reader, arena);
    answer->unknown_in = ipc_get_text(&reader, arena);
    answer->failed_table = ipc_get_text(&reader, arena);
    answer->transport = ipc_get_text(&reader, arena);
    answer->next_hop = ipc_get_text(&reader, arena);
    answer->expansion_failed = ipc_get_bool(&reader);
    answer->expansion_reason = ipc_get_text(&reader, arena);
    answer->routed = ipc_get_bool(&reader);
    answer->bad_syntax = ipc_get_bool(&reader);
    answer->expanded_count = ipc_get_count(&reader, 4);
    answer->expanded = arena_alloc_array(arena, answer->expanded_count, sizeof(char *));
    for (size_t i = 0; i < answer->expanded_count; i++)
        answer->expanded[i] = ipc_get_text(&reader, arena);
    answer->canonical = ipc_get_text(&reader, arena);
    answer->copy_count = ipc_get_count(&reader, 13);
    answer->copies = arena_alloc_array(arena, answer->copy_count, sizeof *answer->copies);
    for (size_t i = 0; i < answer->copy_count; i++)
        recipient_decode(&reader, arena, &answer->copies[i]);
    return ipc_reader_finish(&reader) && answer->address_class <= CLASS_DEFAULT &&
           answer->validity <= ADDRESS_ERROR;
}

void route_question_encode(const char *sender, const char *const *addresses, size_t count, struct str *out)
{
    ipc_put_text(out, sender);
    ipc_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        ipc_put_text(out, addresses[i]);
}

bool route_question_decode(struct slice body, struct arena *arena, char **sender, char ***addresses,
                           size_t *count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *sender = ipc_get_text(&reader, arena);
    *count = ipc_get_count(&reader, 4);
    *addresses = arena_alloc_array(arena, *count, sizeof(char *));
    for (size_t i = 0; i < *count; i++)
        (*addresses)[i] = ipc_get_text(&reader, arena);
    return ipc_reader_finish(&reader);
}

void route_encode(const struct route *route, struct str *out)
{
    ipc_put_u8(out, route->status);
    ipc_put_text(out, route->transport);
    ipc_put_text(out, route->next_hop);
    ipc_put_text(out, route->address);
    ipc_put_text(out, route->reason);
}

bool route_answer_decode(struct slice body, struct arena *arena, struct route **routes, size_t *count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    size_t limit = body.len / 17, used = 0;
    *routes = arena_alloc_array(arena, limit, sizeof(struct route));
    while (reader.left > 0 && !reader.failed && used < limit) {
        struct route *route = &(*routes)[used++];
        route->status = ipc_get_u8(&reader);
        route->transport = ipc_get_text(&reader, arena);
        route->next_hop = ipc_get_text(&reader, arena);
        route->address = ipc_get_text(&reader, arena);
        route->reason = ipc_get_text(&reader, arena);
        if (route->status > TABLE_ERROR)
            return false;
    }
    *count = used;
    return ipc_reader_finish(&reader);
}
