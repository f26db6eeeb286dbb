/* SPDX-License-Identifier: ISC */
/*
 * state_client: questions to the state role, one round trip each; notices without one. Used by the roles that have an
 * edge to it. What cannot be asked or answered is logged, not more than once in ten seconds, and is "not known".
 */
#include "common/state/state_client.h"

#include "common/base/log.h"
#include "common/process/role.h"

#define STATE_TIMEOUT 5 /* seconds; a client waits behind it */
#define SILENCE_MS 10000
#define MOST_UNREAD (1024 * 1024) /* bytes of notices for a role that does not read */

const struct ipc_edge state_client_edge = {.name = "role->state", .trust = IPC_FROM_ROLE};

static void complain(enum ipc_status status)
{
    static int64_t silent_until;
    if (status == IPC_CANCELLED || clock_ms() < silent_until)
        return;
    silent_until = deadline_in_ms(SILENCE_MS);
    log_warning("state service: %s", status == IPC_TIMEOUT ? "no answer in time" : "connection lost");
}

static bool ask(enum state_record type, const struct state_question *question, struct str *answer)
{
    struct str body = STR_EMPTY;
    enum ipc_status status = IPC_LOST;
    int64_t deadline = deadline_in_s(STATE_TIMEOUT);
    if (!state_question_is_valid(type, question))
        return false;
    state_question_encode(type, question, &body);
    /* Not role_call(), which asks again: an amount is charged once. A role that is being restarted is waited for. */
    struct ipc_channel *channel = role_wait_peer(ROLE_STATE, NULL, deadline);
    if (channel != NULL)
        status = ipc_call(channel, type, str_slice(&body), -1, answer, NULL, deadline);
    str_free(&body);
    if (status != IPC_OK)
        complain(status);
    return status == IPC_OK;
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

void state_delete(const char *store, const char *key)
{
    const struct state_question question = {.store = (char *)store, .key = (char *)key};
    tell(STATE_DELETE, &question);
}

int state_charge(const char *store, const char *key, uint32_t amount, struct state_window *windows, unsigned count)
{
    struct state_question question = {
        .store = (char *)store, .key = (char *)key, .amount = amount, .window_count = (uint8_t)count};
    struct str reply;
    uint8_t exceeded;
    if (count > STATE_WINDOW_LIMIT)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        question.windows[i] = windows[i];
        windows[i].count = 0;
    }
    if (!ask(STATE_CHARGE, &question, &reply))
        return -1;
    if (!state_counts_decode(str_slice(&reply), &exceeded, windows, count))
        log_fatal("state service: malformed answer about %s", key);
    str_free(&reply);
    return exceeded;
}
