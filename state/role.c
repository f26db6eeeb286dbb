/* SPDX-License-Identifier: ISC */
/*
 * state: the server's small memory, for what outlives a session and a restart but is no mail. Talks to smtpd, submission and
 * the queue only; holds the right to write in data_directory/state and nothing else: no network, no other file.
 * Everything in the file is read confined, since whoever took this role over may have written it. A malformed record
 * ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/process/layout.h"
#include "common/process/role.h"
#include "common/state/counter.h"
#include "common/state/turnstile.h"
#include "state/memory.h"

static struct arena *arena; /* of the record in hand */
static struct str reply;

static int64_t wall_ms(void)
{
    return wall_us() / 1000;
}

static struct state_question read_question(struct ipc_channel *channel, const struct ipc_message *message)
{
    struct state_question question;
    arena_reset(arena);
    str_clear(&reply);
    if (!state_question_decode((enum state_record)message->type, message->body, arena, &question))
        ipc_violation(channel, "malformed question");
    return question;
}

static void on_get(struct ipc_channel *channel, struct ipc_message *message)
{
    struct state_question question = read_question(channel, message);
    struct slice value;
    bool found = memory_get(question.store, question.key, &value);
    state_value_encode(found, value, &reply);
    ipc_reply(channel, message->id, str_slice(&reply), -1);
}

static void on_put(struct ipc_channel *channel, struct ipc_message *message)
{
    struct state_question question = read_question(channel, message);
    memory_put(question.store, question.key, question.value, wall_ms() + (int64_t)question.lifetime_s * 1000);
}

static void on_charge(struct ipc_channel *channel, struct ipc_message *message)
{
    struct state_question question = read_question(channel, message);
    struct slice stored;
    struct str value = STR_EMPTY;
    int64_t expires;
    (void)!memory_get(question.store, question.key, &stored);
    unsigned full = counter_charge(stored, wall_ms(), question.amount, question.windows, question.window_count, &value,
                                   &expires);
    if (value.len > 0)
        memory_put(question.store, question.key, str_slice(&value), expires);
    str_free(&value);
    state_counts_encode((uint8_t)full, question.windows, question.window_count, &reply);
    ipc_reply(channel, message->id, str_slice(&reply), -1);
}

static const struct turnstile_memory turnstile_memory = {.get = memory_get, .put = memory_put};

static struct turn_question read_turn(struct ipc_channel *channel, const struct ipc_message *message)
{
    struct turn_question question;
    arena_reset(arena);
    str_clear(&reply);
    if (!turn_question_decode(message->body, arena, &question))
        ipc_violation(channel, "malformed question");
    return question;
}

static void on_turn(struct ipc_channel *channel, struct ipc_message *message)
{
    struct turn_question question = read_turn(channel, message);
    struct turn turn = turnstile_take(&turnstile_memory, &question, wall_ms());
    turn_encode(&turn, &reply);
    ipc_reply(channel, message->id, str_slice(&reply), -1);
}

static void on_settle(struct ipc_channel *channel, struct ipc_message *message)
{
    struct turn_question question = read_turn(channel, message);
    turnstile_settle(&turnstile_memory, &question, wall_ms());
}

static const struct ipc_rule rules[] = {
    {STATE_GET, "GET", IPC_REQUEST, false, IPC_ANY_STATE, STATE_RECORD_LIMIT, on_get},
    {STATE_PUT, "PUT", IPC_NOTICE, false, IPC_ANY_STATE, STATE_RECORD_LIMIT, on_put},
    {STATE_CHARGE, "CHARGE", IPC_REQUEST, false, IPC_ANY_STATE, STATE_RECORD_LIMIT, on_charge},
    {STATE_TURN, "TURN", IPC_REQUEST, false, IPC_ANY_STATE, STATE_RECORD_LIMIT, on_turn},
    {STATE_SETTLE, "SETTLE", IPC_NOTICE, false, IPC_ANY_STATE, STATE_RECORD_LIMIT, on_settle},
};
static const struct ipc_edge client_edge = {
    .name = "role->state", .trust = IPC_FROM_ROLE, .rules = rules, .rule_count = sizeof rules / sizeof rules[0],
};

static const struct ipc_edge *edge(enum role_id peer)
{
    return peer == ROLE_SMTPD || peer == ROLE_SUBMISSION || peer == ROLE_QUEUE ? &client_edge : NULL;
}

/* Only enters the directory: data_directory may be closed to the user that this role becomes. */
static void open_role(const struct role_start *start)
{
    char *path = layout_state_directory(start->config);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchdir(fd) < 0)
        log_fatal("open directory %s: %s", path, strerror(errno));
    close(fd);
    free(path);
    umask(077);
}

static const char *const *directories(const struct role_start *start UNUSED)
{
    static const char *const here[] = {".", NULL};
    return here;
}

static void start_role(const struct role_start *start UNUSED)
{
    arena = arena_new();
    memory_open();
}

/* The file has one owner: nothing in the configuration concerns it. */
static void reload(const struct config *config UNUSED)
{
}

static void drain(void)
{
    memory_close();
    role_finished();
}

int main(int argc, char **argv)
{
    static const struct role role = {
        .id = ROLE_STATE,
        .rights = RIGHT_READ_FILES | RIGHT_WRITE_FILES,
        .directories = directories,
        .open = open_role,
        .start = start_role,
        .edge = edge,
        .reload = reload,
        .drain = drain,
    };
    return role_main(&role, argc, argv);
}
