/* SPDX-License-Identifier: ISC */
/*
 * state_client: questions to the state role, one round trip each; notices without one. Used by the roles that have an
 * edge to it. What cannot be asked or answered is logged, not more than once in ten seconds, and is "not known"; limits
 * are kept in this process's own memory then (local_memory).
 */
#include "common/state/state_client.h"

#include "common/base/log.h"
#include "common/process/role.h"
#include "common/state/counter.h"
#include "common/state/local_memory.h"
#include "common/state/turnstile.h"

#define STATE_TIMEOUT 5 /* seconds; a client waits behind it */
#define SILENCE_MS 10000
#define MOST_UNREAD (1024 * 1024) /* bytes of notices for a role that does not read */
#define RESTART_MS 1000 /* a limit waits so long for a role that is being restarted */
#define DOWN_MS 5000    /* and then not at all for a while */

const struct ipc_edge state_client_edge = {.name = "role->state", .trust = IPC_FROM_ROLE};

static void complain(enum ipc_status status)
{
    static int64_t silent_until;
    if (status == IPC_CANCELLED || clock_ms() < silent_until)
        return;
    silent_until = deadline_in_ms(SILENCE_MS);
    log_warning("state service: %s", status == IPC_TIMEOUT ? "no answer in time" : "connection lost");
}

/* Not role_call(), which asks again: an amount is charged once. A role that is being restarted is waited for. */
static bool ask_within(enum state_record type, const struct str *body, struct str *answer, int64_t patience)
{
    enum ipc_status status = IPC_LOST;
    struct ipc_channel *channel = role_wait_peer(ROLE_STATE, NULL, patience);
    if (channel != NULL)
        status = ipc_call(channel, (uint16_t)type, str_slice(body), -1, answer, NULL, deadline_in_s(STATE_TIMEOUT));
    if (status != IPC_OK)
        complain(status);
    return status == IPC_OK;
}

static bool ask(enum state_record type, const struct state_question *question, struct str *answer)
{
    struct str body = STR_EMPTY;
    if (!state_question_is_valid(type, question))
        return false;
    state_question_encode(type, question, &body);
    bool answered = ask_within(type, &body, answer, deadline_in_s(STATE_TIMEOUT));
    str_free(&body);
    return answered;
}

/* For what must go on without it. The body is freed. */
static bool ask_briefly(enum state_record type, struct str *body, struct str *answer)
{
    static int64_t down_until;
    bool may_wait = state_is_there() || clock_ms() >= down_until;
    bool answered = may_wait && ask_within(type, body, answer, deadline_in_ms(RESTART_MS));
    if (may_wait)
        down_until = answered ? 0 : deadline_in_ms(DOWN_MS);
    str_free(body);
    return answered;
}

bool state_is_there(void)
{
    return role_peer(ROLE_STATE, NULL) != NULL;
}

static void tell(enum state_record type, const struct state_question *question)
{
    struct str body = STR_EMPTY;
    struct ipc_channel *channel = role_peer(ROLE_STATE, NULL);
    if (channel == NULL || ipc_queued(channel) > MOST_UNREAD || !state_question_is_valid(type, question))
        return;
    state_question_encode(type, question, &body);
    ipc_notify(channel, type, str_slice(&body), -1);
    str_free(&body);
}

bool state_get(const char *store, const char *key, struct arena *arena, struct slice *value)
{
    const struct state_question question = {.store = (char *)store, .key = (char *)key};
    struct str reply;
    bool found;
    *value = SLICE("");
    if (!ask(STATE_GET, &question, &reply))
        return false;
    struct slice borrowed;
    if (!state_value_decode(str_slice(&reply), &found, &borrowed))
        log_fatal("state service: malformed answer about %s", key);
    if (found)
        *value = slice_range(arena_slice(arena, borrowed), borrowed.len);
    str_free(&reply);
    return found;
}

void state_put(const char *store, const char *key, struct slice value, uint32_t lifetime_s)
{
    const struct state_question question = {
        .store = (char *)store, .key = (char *)key, .value = value, .lifetime_s = lifetime_s};
    tell(STATE_PUT, &question);
}

/* --- limits: in this process's memory while the role is away --------------------------------------------- */

static const struct turnstile_memory local_memory = {.get = local_memory_get, .put = local_memory_put};

static int64_t wall_ms(void)
{
    return wall_us() / 1000;
}

static unsigned charge_locally(const struct state_question *question, struct state_window *windows, unsigned count)
{
    struct slice stored;
    struct str value = STR_EMPTY;
    int64_t expires;
    (void)!local_memory_get(question->store, question->key, &stored);
    unsigned full = counter_charge(stored, wall_ms(), question->amount, windows, count, &value, &expires);
    if (value.len > 0)
        local_memory_put(question->store, question->key, str_slice(&value), expires);
    str_free(&value);
    return full;
}

unsigned state_charge(const char *store, const char *key, uint32_t amount, struct state_window *windows, unsigned count)
{
    struct state_question question = {
        .store = (char *)store, .key = (char *)key, .amount = amount, .window_count = (uint8_t)count};
    struct str body = STR_EMPTY, reply;
    uint8_t exceeded;
    for (unsigned i = 0; i < count && i < STATE_WINDOW_LIMIT; i++) {
        question.windows[i] = windows[i];
        windows[i].count = 0;
    }
    if (count > STATE_WINDOW_LIMIT || !state_question_is_valid(STATE_CHARGE, &question))
        log_panic("a limit that state cannot keep: %.100s", key);
    state_question_encode(STATE_CHARGE, &question, &body);
    if (!ask_briefly(STATE_CHARGE, &body, &reply))
        return charge_locally(&question, windows, count);
    if (!state_counts_decode(str_slice(&reply), &exceeded, windows, count))
        log_fatal("state service: malformed answer about %s", key);
    str_free(&reply);
    return exceeded;
}

struct turn state_turn(const struct turn_question *question)
{
    struct str body = STR_EMPTY, reply;
    struct turn turn;
    turn_question_encode(question, &body);
    if (!ask_briefly(STATE_TURN, &body, &reply))
        return turnstile_take(&local_memory, question, wall_ms());
    if (!turn_decode(str_slice(&reply), &turn))
        log_panic("state service: malformed answer about %s", question->source);
    str_free(&reply);
    return turn;
}

void state_settle(const struct turn_question *question)
{
    struct str body = STR_EMPTY;
    struct ipc_channel *channel = role_peer(ROLE_STATE, NULL);
    if (channel != NULL) {
        turn_question_encode(question, &body);
        ipc_notify(channel, STATE_SETTLE, str_slice(&body), -1);
        str_free(&body);
    }
    if (channel == NULL || !local_memory_is_empty()) /* the turn may have been given here */
        turnstile_settle(&local_memory, question, wall_ms());
}
