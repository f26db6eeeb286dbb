/* SPDX-License-Identifier: ISC */
/*
 * question: the life of one request. What cannot wait is answered on the channel's own fiber without copying or
 * allocating more than an arena; what may wait gets a fiber. An asker that disappears meanwhile is forgotten.
 */
#include <stdlib.h>

#include "common/base/fiber.h"
#include "common/base/mem.h"
#include "lookup/lookup.h"

static LIST_HEAD(, question) questions = LIST_HEAD_INITIALIZER(questions);
static struct question *spare; /* kept with its arena and buffer */
static bool draining;

static struct question *question_new(void)
{
    struct question *question = spare;
    spare = NULL;
    if (question == NULL) {
        question = mem_alloc(sizeof *question);
        question->arena = arena_new();
    }
    LIST_INSERT_HEAD(&questions, question, link);
    return question;
}

static void question_free(struct question *question)
{
    LIST_REMOVE(question, link);
    if (spare == NULL && question->body.cap <= 65536) {
        str_clear(&question->body);
        arena_reset(question->arena);
        spare = question;
    } else {
        str_free(&question->body);
        arena_free(question->arena);
        free(question);
    }
    if (draining && LIST_EMPTY(&questions))
        role_finished();
}

static void question_run(void *arg)
{
    struct question *question = arg;
    question->answer(question);
    question_free(question);
}

void question_ask(struct ipc_channel *channel, const struct ipc_message *message,
                  void (*answer)(struct question *question), bool may_wait)
{
    struct question *question = question_new();
    question->channel = channel;
    question->id = message->id;
    question->type = message->type;
    question->answer = answer;
    str_append_slice(&question->body, message->body);
    if (may_wait)
        fiber_spawn("question", question_run, question);
    else
        question_run(question);
}

void question_is_malformed(struct question *question)
{
    if (question->channel != NULL)
        ipc_violation(question->channel, "malformed question");
}

void question_reply(struct question *question, const struct str *answer, int fd)
{
    if (question->channel != NULL)
        ipc_reply(question->channel, question->id, str_slice(answer), fd);
}

void questions_of_lost_channel(struct ipc_channel *channel)
{
    struct question *question;
    LIST_FOREACH (question, &questions, link)
        if (question->channel == channel)
            question->channel = NULL;
}

void questions_drain(void)
{
    draining = true;
    if (LIST_EMPTY(&questions))
        role_finished();
}
