/* SPDX-License-Identifier: ISC */
/* keys_client: asks keys. When it does not answer, the handshake fails and the client comes again; it is asked twice when
 * it was restarted in between. */
#include "common/tls/keys_client.h"

#include "common/base/log.h"
#include "common/process/role.h"

#define SIGN_TIMEOUT_S 30

static void (*when_changed)(void);

static void on_changed(struct ipc_channel *channel UNUSED, struct ipc_message *message UNUSED)
{
    when_changed();
}

static const struct ipc_rule rules[] = {
    {KEYS_CHANGED, "CHANGED", IPC_NOTICE, false, IPC_ANY_STATE, 0, on_changed},
};

const struct ipc_edge *keys_client_edge(void (*changed)(void))
{
    static const struct ipc_edge edge = {.name = "service->keys", .trust = IPC_FROM_ROLE, .rules = rules,
                                         .rule_count = sizeof rules / sizeof rules[0]};
    when_changed = changed;
    return &edge;
}

static const char *problem_text(enum ipc_status status)
{
    return status == IPC_TIMEOUT ? "no answer in time" : "connection lost";
}

bool keys_client_identity(const char *server_name, int64_t deadline, struct arena *arena, struct keys_identity *identity)
{
    struct str body = STR_EMPTY, reply;
    ipc_put_text(&body, server_name);
    enum ipc_status status = role_call(ROLE_KEYS, NULL, KEYS_IDENTITY, str_slice(&body), &reply, NULL, deadline);
    str_free(&body);
    if (status != IPC_OK) {
        log_warning("keys service: no certificates: %s", problem_text(status));
        return false;
    }
    struct slice copy = slice_range(arena_strndup(arena, reply.data, reply.len), reply.len);
    str_free(&reply);
    if (!keys_identity_decode(copy, arena, identity))
        log_fatal("keys service: malformed identity");
    return true;
}

bool keys_client_sign(const struct keys_sign *sign, struct str *signature)
{
    struct str body = STR_EMPTY, reply;
    keys_sign_encode(sign, &body);
    enum ipc_status status = role_call(ROLE_KEYS, NULL, KEYS_SIGN, str_slice(&body), &reply, NULL,
                                       deadline_in_s(SIGN_TIMEOUT_S));
    str_free(&body);
    if (status != IPC_OK) {
        log_warning("keys service: no signature: %s", problem_text(status));
        return false;
    }
    struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
    bool good = ipc_get_bool(&reader);
    str_append_slice(signature, ipc_get_slice(&reader));
    if (!ipc_reader_finish(&reader))
        log_fatal("keys service: malformed signature");
    str_free(&reply);
    return good;
}
