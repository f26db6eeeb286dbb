/* SPDX-License-Identifier: ISC */
/*
 * role: the life of a daemon between start and end. role_main() is every daemon's main(): it is confined
 * before role->start() runs, serves until the supervisor says drain or SIGTERM comes, and ends at once
 * when the supervisor is gone: what is acknowledged is on disk, and a new supervisor starts new roles.
 */
#include "common/process/role.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/stack_watch.h"
#include "common/process/role_internal.h"

#define CLIENTS_LEAVE_S 600 /* a draining server of an edge waits so long for its clients' last calls */

struct role_state role_state;

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_MASTER] = "master",   [ROLE_SMTPD] = "smtpd",       [ROLE_SUBMISSION] = "submission",
    [ROLE_QUEUE] = "queue",     [ROLE_LMTP] = "lmtp",         [ROLE_SMTP] = "smtp",
    [ROLE_VIRTUAL] = "virtual", [ROLE_LOOKUP] = "lookup",     [ROLE_RESOLVER] = "resolver",
    [ROLE_KEYS] = "keys",       [ROLE_AUTH] = "auth",       [ROLE_STATE] = "state",
};

const char *role_name(enum role_id id)
{
    return (unsigned)id < ROLE_COUNT ? role_names[id] : "unknown";
}

const char *role_log_name(enum role_id id)
{
    return role_name(id == ROLE_SUBMISSION ? ROLE_SMTPD : id);
}

const struct config *role_config(void) { return role_state.config; }
const char *role_service(void) { return role_state.start.service; }
bool role_is_draining(void) { return role_state.draining; }
bool role_is_stopping(void) { return role_state.stopping; }

/* No destructors and exit handlers: what is acknowledged is on disk, and nothing else needs an orderly end. */
static void role_end(int status) NORETURN;
static void role_end(int status)
{
    stack_watch_report();
    log_flush();
    _exit(status);
}

void role_finished(void)
{
    peers_flush();
    role_end(0);
}

/* --- what the supervisor says --------------------------------------------------------- */

static void on_peer(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct peer_record record;
    if (!peer_record_decode(message->body, arena, &record))
        ipc_violation(channel, "malformed peer record");
    peers_add(&record, message->fd);
    message->fd = -1;
    arena_free(arena);
}

static void on_reload(struct ipc_channel *channel UNUSED, struct ipc_message *message)
{
    /* The old configuration stays: fibers hold texts that belong to it. */
    const struct config *config = config_receive(message->fd);
    if (config == NULL) {
        log_error("cannot read the new configuration; going on with the old one");
        return;
    }
    role_state.config = config;
    role_state.start.config = config;
    if (role_state.role->reload != NULL)
        role_state.role->reload(config);
}

static void drain_fiber(void *arg UNUSED)
{
    /* Clients of this process move to its successor and hang up when their last call is answered. */
    if (!role_state.stopping)
        peers_wait_for_clients_to_leave(deadline_in_s(CLIENTS_LEAVE_S));
    if (role_state.role->drain != NULL)
        role_state.role->drain();
    else
        role_finished();
}

static void on_drain(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    bool stopping = ipc_get_bool(&reader);
    if (!ipc_reader_finish(&reader))
        ipc_violation(channel, "malformed drain record");
    bool first = !role_state.draining;
    role_state.draining = true;
    role_state.stopping = role_state.stopping || stopping;
    if (first)
        fiber_spawn("drain", drain_fiber, NULL);
}

static void on_log(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    uint8_t sink = ipc_get_u8(&reader);
    if (!ipc_reader_finish(&reader) || sink > LOG_TO_SYSLOG)
        ipc_violation(channel, "malformed log record");
    role_set_log((enum log_sink)sink, message->fd);
    message->fd = -1;
}

static void probe_fiber(void *arg)
{
    uint32_t *id = arg;
    struct arena *arena = arena_new();
    struct probe_result *more = NULL;
    struct str reply = STR_EMPTY;
    size_t more_count = role_state.role->probe != NULL ? role_state.role->probe(arena, &more) : 0;
    struct probe_result *results = arena_alloc_array(arena, PROBE_COUNT + more_count, sizeof *results);
    size_t count = sandbox_probe(arena, config_string(role_state.config, "queue_directory"), results);
    for (size_t i = 0; i < more_count; i++)
        results[count++] = more[i];
    probe_results_encode(results, count, &reply);
    ipc_reply(role_state.master, *id, str_slice(&reply), -1);
    str_free(&reply);
    arena_free(arena);
    free(id);
}

static void on_probe(struct ipc_channel *channel UNUSED, struct ipc_message *message)
{
    uint32_t *id = mem_alloc(sizeof *id);
    *id = message->id;
    fiber_spawn("probe", probe_fiber, id);
}

static const struct role_files *files_or_violation(struct ipc_channel *channel)
{
    if (role_state.role->files == NULL)
        ipc_violation(channel, "files for a role that wants none");
    return role_state.role->files;
}

static void on_files(struct ipc_channel *channel, struct ipc_message *message)
{
    files_or_violation(channel)->plan(message->body);
}

static void on_file(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct ipc_reader reader = ipc_reader_of(message->body);
    const char *path = ipc_get_text(&reader, arena);
    uint32_t error = ipc_get_u32(&reader);
    if (!ipc_reader_finish(&reader))
        ipc_violation(channel, "malformed file record");
    int fd = message->fd;
    message->fd = -1;
    files_or_violation(channel)->file(path, (int)error, fd);
    arena_free(arena);
}

static void on_files_end(struct ipc_channel *channel, struct ipc_message *message UNUSED)
{
    files_or_violation(channel)->end();
}

struct explain_call {
    struct ipc_channel *channel;
    uint32_t id;
    struct str request;
};

static void explain_fiber(void *arg)
{
    struct explain_call *call = arg;
    struct str answer = STR_EMPTY;
    if (!role_state.role->explain(str_slice(&call->request), &answer))
        ipc_violation(call->channel, "malformed explain record");
    ipc_reply(call->channel, call->id, str_slice(&answer), -1);
    str_free(&answer);
    str_free(&call->request);
    free(call);
}

/* The channel lives as long as this process. */
static void on_explain(struct ipc_channel *channel, struct ipc_message *message)
{
    if (role_state.role->explain == NULL)
        ipc_violation(channel, "explain record to a role that has no policy");
    struct explain_call *call = mem_alloc(sizeof *call);
    call->channel = channel;
    call->id = message->id;
    str_append_slice(&call->request, message->body);
    fiber_spawn("explain", explain_fiber, call);
}

static void on_master_lost(struct ipc_channel *channel UNUSED)
{
    role_end(1);
}

static const struct ipc_rule master_rules[] = {
    {MASTER_PEER, "peer", IPC_NOTICE, true, IPC_ANY_STATE, MASTER_RECORD_LIMIT, on_peer},
    {MASTER_RELOAD, "reload", IPC_NOTICE, true, IPC_ANY_STATE, 0, on_reload},
    {MASTER_DRAIN, "drain", IPC_NOTICE, false, IPC_ANY_STATE, 1, on_drain},
    {MASTER_LOG, "log", IPC_NOTICE, true, IPC_ANY_STATE, 1, on_log},
    {MASTER_FILES, "files", IPC_NOTICE, false, IPC_ANY_STATE, MASTER_FILES_LIMIT, on_files},
    {MASTER_FILE, "file", IPC_NOTICE, true, IPC_ANY_STATE, MASTER_RECORD_LIMIT, on_file},
    {MASTER_FILES_END, "end of files", IPC_NOTICE, false, IPC_ANY_STATE, 0, on_files_end},
    {MASTER_EXPLAIN, "explain", IPC_REQUEST, false, IPC_ANY_STATE, MASTER_RECORD_LIMIT, on_explain},
    {MASTER_PROBE, "probe", IPC_REQUEST, false, IPC_ANY_STATE, 0, on_probe},
};
static const struct ipc_edge master_edge = {
    "role->master", IPC_FROM_ROLE, master_rules, sizeof master_rules / sizeof master_rules[0], on_master_lost,
};

/* --- main ------------------------------------------------------------------------------- */

static void ask_for_log(void)
{
    if (role_state.master != NULL)
        ipc_notify(role_state.master, MASTER_LOG_LOST, SLICE(""), -1);
}

static void on_sigterm(evutil_socket_t signal UNUSED, short what UNUSED, void *arg UNUSED)
{
    role_end(0);
}

static void watch_sigterm(void)
{
    struct event *event = evsignal_new(fiber_loop_base(), SIGTERM, on_sigterm, NULL);
    if (event == NULL || event_add(event, NULL) < 0)
        log_fatal("cannot watch SIGTERM: %s", strerror(errno));
}

static void start_fiber(void *arg UNUSED)
{
    if (role_state.role->start != NULL)
        role_state.role->start(&role_state.start);
    role_state.started = true;
    peers_role_started();
    ipc_notify(role_state.master, MASTER_READY, SLICE(""), -1);
}

int role_main(const struct role *role, int argc UNUSED, char **argv UNUSED)
{
    role_receive_start(role);
    fiber_loop_init();
    watch_sigterm();
    if (role->open != NULL)
        role->open(&role_state.start);
    role_confine(role);
    role_state.master = ipc_open(&master_edge, ROLE_FD_CHANNEL, NULL);
    log_on_lost(ask_for_log);
    fiber_spawn("start", start_fiber, NULL);
    fiber_loop_run();
    return 0;
}
