/* SPDX-License-Identifier: ISC */
/*
 * exchange: the services' side of auth. Each question runs on a fiber of its own, so that one that takes long delays no
 * other; an exchange has one question at a time. What a service that died, or a client that never came back, left behind
 * is dropped.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "auth/auth.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define EXCHANGE_LIMIT 2000 /* logins under way */
#define TASK_LIMIT 4000     /* questions under way */
#define SWEEP_S 10
#define ABANDONED_MS (600 * 1000) /* longer than any service waits for its client's response (smtpd_timeout) */

/* A question under way. */
struct task {
    struct ipc_channel *channel; /* NULL: the asker is gone */
    uint32_t id;
    uint16_t type;
    struct str body; /* a secret */
    struct arena *arena;
    LIST_ENTRY(task) link;
};

static LIST_HEAD(task_list, task) tasks = LIST_HEAD_INITIALIZER(tasks);
static size_t task_count;
static struct exchange *exchanges;
static uint64_t last_id;
static int64_t timeout_ms = 60 * 1000;

int64_t auth_timeout_ms(void)
{
    return timeout_ms;
}

void secret_free(struct str *secret)
{
    if (secret->data != NULL)
        mem_wipe(secret->data, secret->cap);
    str_free(secret);
}

void answer_set(struct sasl_answer *answer, enum sasl_status status, const char *text, struct arena *arena)
{
    *answer = (struct sasl_answer){(uint8_t)status, 0, arena_strdup(arena, text), arena_strdup(arena, "")};
}

/* --- exchanges --------------------------------------------------------------------------------------- */

static struct exchange *exchange_new(struct ipc_channel *channel, struct backend *backend)
{
    struct exchange *exchange = mem_alloc(sizeof *exchange);
    exchange->id = ++last_id;
    exchange->channel = channel;
    exchange->backend = backend;
    exchange->is_busy = true;
    HASH_ADD(hh, exchanges, id, sizeof exchange->id, exchange);
    return exchange;
}

static struct exchange *exchange_find(const struct ipc_channel *channel, uint64_t id)
{
    struct exchange *exchange;
    HASH_FIND(hh, exchanges, &id, sizeof id, exchange);
    return exchange != NULL && exchange->channel == channel ? exchange : NULL;
}

static void exchange_free(struct exchange *exchange)
{
    HASH_DEL(exchanges, exchange);
    if (exchange->progress != NULL)
        exchange->backend->driver->drop(exchange);
    free(exchange);
}

static void exchange_give_up(struct exchange *exchange)
{
    if (exchange->is_busy)
        exchange->is_unwanted = true;
    else
        exchange_free(exchange);
}

static void exchange_stepped(struct exchange *exchange, struct sasl_answer *answer)
{
    exchange->is_busy = false;
    exchange->touched = clock_ms();
    if (answer->status == SASL_MORE && !exchange->is_unwanted)
        answer->exchange = exchange->id;
    else
        exchange_free(exchange);
}

static void sweep_fiber(void *arg UNUSED)
{
    while (fiber_sleep_until(deadline_in_s(SWEEP_S)) == WAIT_OK) {
        struct exchange *exchange, *next;
        int64_t oldest = clock_ms() - ABANDONED_MS;
        HASH_ITER (hh, exchanges, exchange, next)
            if (!exchange->is_busy && exchange->touched < oldest)
                exchange_free(exchange);
    }
}

/* --- questions ------------------------------------------------------------------------------------------ */

/* False: malformed. */
static bool answer_mechanisms(struct task *task, struct sasl_answer *answer)
{
    struct sasl_client client;
    struct ipc_reader reader = ipc_reader_of(str_slice(&task->body));
    sasl_client_get(&reader, task->arena, &client);
    if (!ipc_reader_finish(&reader))
        return false;
    const struct backend *backend = backend_find(&client);
    if (backend == NULL)
        answer_set(answer, SASL_UNAVAILABLE, "authentication service is not configured", task->arena);
    else
        backend->driver->mechanisms(backend->state, &client, task->arena, answer);
    return true;
}

static bool answer_start(struct task *task, struct sasl_answer *answer)
{
    struct sasl_client client;
    struct ipc_reader reader = ipc_reader_of(str_slice(&task->body));
    sasl_client_get(&reader, task->arena, &client);
    const char *mechanism = ipc_get_text(&reader, task->arena);
    bool is_initial = ipc_get_bool(&reader);
    struct slice initial = ipc_get_slice(&reader);
    if (!ipc_reader_finish(&reader))
        return false;
    struct backend *backend = backend_find(&client);
    if (backend == NULL)
        answer_set(answer, SASL_UNAVAILABLE, "authentication service is not configured", task->arena);
    else if (HASH_COUNT(exchanges) >= EXCHANGE_LIMIT) {
        log_warning("too many logins under way");
        answer_set(answer, SASL_UNAVAILABLE, "too many logins under way", task->arena);
    } else {
        struct exchange *exchange = exchange_new(task->channel, backend);
        backend->driver->start(exchange, &client, mechanism, is_initial ? &initial : NULL, task->arena, answer);
        exchange_stepped(exchange, answer);
    }
    return true;
}

static bool answer_continue(struct task *task, struct sasl_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(str_slice(&task->body));
    uint64_t id = ipc_get_u64(&reader);
    struct slice response = ipc_get_slice(&reader);
    if (!ipc_reader_finish(&reader))
        return false;
    struct exchange *exchange = exchange_find(task->channel, id);
    if (exchange == NULL || exchange->is_busy) { /* begun before a reload, or swept */
        answer_set(answer, SASL_UNAVAILABLE, "this exchange is over", task->arena);
        return true;
    }
    exchange->is_busy = true;
    exchange->backend->driver->step(exchange, response, task->arena, answer);
    exchange_stepped(exchange, answer);
    return true;
}

static bool answer_task(struct task *task, struct sasl_answer *answer)
{
    switch (task->type) {
    case SASL_ASK_MECHANISMS: return answer_mechanisms(task, answer);
    case SASL_ASK_START: return answer_start(task, answer);
    default: return answer_continue(task, answer);
    }
}

static void task_fiber(void *arg)
{
    struct task *task = arg;
    struct sasl_answer answer = {0};
    struct str reply = STR_EMPTY;
    if (!answer_task(task, &answer))
        log_fatal("submission->auth: protocol violation: malformed question");
    if (task->channel != NULL) {
        sasl_answer_encode(&answer, &reply);
        ipc_reply(task->channel, task->id, str_slice(&reply), -1);
        str_free(&reply);
    }
    LIST_REMOVE(task, link);
    task_count--;
    secret_free(&task->body);
    arena_free(task->arena);
    free(task);
}

static void on_question(struct ipc_channel *channel, struct ipc_message *message)
{
    if (task_count >= TASK_LIMIT) {
        struct sasl_answer answer = {SASL_UNAVAILABLE, 0, (char[]){"too many logins under way"}, (char[]){""}};
        struct str reply = STR_EMPTY;
        sasl_answer_encode(&answer, &reply);
        ipc_reply(channel, message->id, str_slice(&reply), -1);
        str_free(&reply);
        return;
    }
    struct task *task = mem_alloc(sizeof *task);
    task->channel = channel;
    task->id = message->id;
    task->type = message->type;
    task->arena = arena_new();
    str_reserve(&task->body, message->body.len + 1);
    str_append_slice(&task->body, message->body);
    LIST_INSERT_HEAD(&tasks, task, link);
    task_count++;
    fiber_spawn("login", task_fiber, task);
}

static void on_cancel(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    uint64_t id = ipc_get_u64(&reader);
    if (!ipc_reader_finish(&reader))
        ipc_violation(channel, "malformed cancel");
    struct exchange *exchange = exchange_find(channel, id);
    if (exchange != NULL)
        exchange_give_up(exchange);
}

static void on_lost(struct ipc_channel *channel)
{
    struct task *task;
    struct exchange *exchange, *next;
    LIST_FOREACH (task, &tasks, link)
        if (task->channel == channel)
            task->channel = NULL;
    HASH_ITER (hh, exchanges, exchange, next)
        if (exchange->channel == channel) {
            exchange->channel = NULL;
            exchange_give_up(exchange);
        }
}

static const struct ipc_rule service_rules[] = {
    {SASL_ASK_MECHANISMS, "MECHANISMS", IPC_REQUEST, false, IPC_ANY_STATE, SASL_QUESTION_LIMIT, on_question},
    {SASL_ASK_START, "START", IPC_REQUEST, false, IPC_ANY_STATE, SASL_QUESTION_LIMIT, on_question},
    {SASL_ASK_CONTINUE, "CONTINUE", IPC_REQUEST, false, IPC_ANY_STATE, SASL_QUESTION_LIMIT, on_question},
    {SASL_ASK_CANCEL, "CANCEL", IPC_NOTICE, false, IPC_ANY_STATE, 8, on_cancel},
};
const struct ipc_edge auth_service_edge = {
    .name = "submission->auth", .trust = IPC_FROM_ROLE, .rules = service_rules,
    .rule_count = sizeof service_rules / sizeof service_rules[0], .lost = on_lost, .holds_secrets = true,
};

void exchanges_start(const struct config *config)
{
    timeout_ms = config_seconds(config, "auth_timeout") * 1000;
    last_id = (uint64_t)wall_us(); /* ids of a process before this one mean nothing here */
    fiber_spawn("sweep", sweep_fiber, NULL);
}
