/* SPDX-License-Identifier: ISC */
/* cleanup_protocol: encoding of CHECK and REWRITE. Pure; fuzzed from both sides. */
#include "common/mail/cleanup_protocol.h"

/* --- CHECK ----------------------------------------------------------------------------- */

void check_question_begin(const struct check_group *groups, size_t count, struct str *out)
{
    ipc_put_u8(out, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        ipc_put_text(out, groups[i].maps);
        ipc_put_text(out, groups[i].parameter);
    }
}

void check_question_count(uint32_t lines, struct str *out)
{
    ipc_put_u32(out, lines);
}

void check_question_line(uint8_t group, struct slice line, struct str *out)
{
    ipc_put_u8(out, group);
    ipc_put_slice(out, line);
}

bool check_question_decode(struct slice body, struct arena *arena, struct check_question *question)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *question = (struct check_question){.group_count = ipc_get_u8(&reader)};
    if (question->group_count > CHECK_MAX_GROUPS)
        return false;
    for (size_t i = 0; i < question->group_count; i++) {
        question->groups[i].maps = ipc_get_text(&reader, arena);
        question->groups[i].parameter = ipc_get_text(&reader, arena);
    }
    question->line_count = ipc_get_count(&reader, 5);
    question->reader = reader;
    return !reader.failed;
}

bool check_question_next(struct check_question *question, uint8_t *group, struct slice *line)
{
    *group = ipc_get_u8(&question->reader);
    *line = ipc_get_slice(&question->reader);
    return !question->reader.failed && *group < question->group_count;
}

void check_answer_encode(const struct check_answer *answer, struct str *out)
{
    ipc_put_bool(out, answer->failed);
    ipc_put_u32(out, answer->failed_line);
    ipc_put_u32(out, (uint32_t)answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        ipc_put_u32(out, answer->hits[i].line);
        ipc_put_text(out, answer->hits[i].value);
    }
}

bool check_answer_decode(struct slice body, struct arena *arena, struct check_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    answer->failed = ipc_get_bool(&reader);
    answer->failed_line = ipc_get_u32(&reader);
    answer->count = ipc_get_count(&reader, 8);
    answer->hits = arena_alloc_array(arena, answer->count, sizeof *answer->hits);
    for (size_t i = 0; i < answer->count; i++) {
        answer->hits[i].line = ipc_get_u32(&reader);
        answer->hits[i].value = ipc_get_text(&reader, arena);
        if (i > 0 && answer->hits[i].line <= answer->hits[i - 1].line)
            return false;
    }
    return ipc_reader_finish(&reader);
}

/* --- REWRITE ---------------------------------------------------------------------------- */

static void put_texts(char *const *texts, size_t count, struct str *out)
{
    ipc_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        ipc_put_text(out, texts[i]);
}

static char **get_texts(struct ipc_reader *reader, struct arena *arena, size_t *count)
{
    *count = ipc_get_count(reader, 4);
    char **texts = arena_alloc_array(arena, *count, sizeof *texts);
    for (size_t i = 0; i < *count; i++)
        texts[i] = ipc_get_text(reader, arena);
    return texts;
}

void rewrite_question_encode(const struct rewrite_question *question, struct str *out)
{
    ipc_put_text(out, question->profile);
    ipc_put_text(out, question->queue_id);
    ipc_put_u8(out, question->flags);
    ipc_put_text(out, question->sender);
    ipc_put_u32(out, (uint32_t)question->count);
    for (size_t i = 0; i < question->count; i++) {
        ipc_put_u8(out, question->addresses[i].role);
        ipc_put_text(out, question->addresses[i].address);
    }
    put_texts(question->copies, question->copy_count, out);
}

bool rewrite_question_decode(struct slice body, struct arena *arena, struct rewrite_question *question)
{
    struct ipc_reader reader = ipc_reader_of(body);
    question->profile = ipc_get_text(&reader, arena);
    question->queue_id = ipc_get_text(&reader, arena);
    question->flags = ipc_get_u8(&reader);
    question->sender = ipc_get_text(&reader, arena);
    question->count = ipc_get_count(&reader, 5);
    question->addresses = arena_alloc_array(arena, question->count, sizeof *question->addresses);
    for (size_t i = 0; i < question->count; i++) {
        question->addresses[i].role = ipc_get_u8(&reader);
        question->addresses[i].address = ipc_get_text(&reader, arena);
    }
    question->copies = get_texts(&reader, arena, &question->copy_count);
    return ipc_reader_finish(&reader);
}

void rewrite_answer_encode(const struct rewrite_answer *answer, struct str *out)
{
    ipc_put_bool(out, answer->failed);
    put_texts(answer->addresses, answer->count, out);
    ipc_put_u32(out, (uint32_t)answer->copy_count);
    for (size_t i = 0; i < answer->copy_count; i++)
        recipient_encode(&answer->copies[i], out);
}

bool rewrite_answer_decode(struct slice body, struct arena *arena, struct rewrite_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    answer->failed = ipc_get_bool(&reader);
    answer->addresses = get_texts(&reader, arena, &answer->count);
    answer->copy_count = ipc_get_count(&reader, 13);
    answer->copies = arena_alloc_array(arena, answer->copy_count, sizeof *answer->copies);
    for (size_t i = 0; i < answer->copy_count; i++)
        recipient_decode(&reader, arena, &answer->copies[i]);
    return ipc_reader_finish(&reader);
}
