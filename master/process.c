/* SPDX-License-Identifier: ISC */
/*
 * process: one fresh exec of a role's program, with numbered descriptors and nothing else. Called by
 * supervise.c. Between fork and exec only async-signal-safe calls are made. A failure is logged and
 * counts as an early end of the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/ipc.h"
#include "common/process/log_sink.h"
#include "common/process/master_protocol.h"
#include "master/supervisor.h"

struct launch {
    char *path;
    char *arguments[4];
    char **environment;
    int *fds; /* what becomes ROLE_FD_CHANNEL, ROLE_FD_CONFIG, ... */
    size_t fd_count;
};

int process_config_descriptor(const struct config *config)
{
    int fd = memfd_create("posthorn-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    config_send(config, fd);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        log_fatal("cannot seal the configuration: %s", strerror(errno));
    return fd;
}

/* --- the child ------------------------------------------------------------------------------- */

/* Puts the descriptors on their numbers. First out of the way, then down, so that none overwrites another. */
static bool child_place_descriptors(struct launch *launch)
{
    int above = ROLE_FD_CHANNEL + (int)launch->fd_count;
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        return false;
    for (size_t i = 0; i < launch->fd_count; i++) {
        launch->fds[i] = fcntl(launch->fds[i] >= 0 ? launch->fds[i] : null, F_DUPFD, above);
        if (launch->fds[i] < 0)
            return false;
    }
    if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return false;
    /* Whoever typed "postfix start" may wait for the end of our output. */
    if (!supervisor.foreground && dup2(null, STDERR_FILENO) < 0)
        return false;
    for (size_t i = 0; i < launch->fd_count; i++)
        if (dup2(launch->fds[i], ROLE_FD_CHANNEL + (int)i) < 0)
            return false;
    return close_range((unsigned)above, ~0u, 0) == 0;
}

static void child_exec(struct launch *launch) NORETURN;
static void child_exec(struct launch *launch)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < 32; number++)
        (void)signal(number, SIG_DFL); /* not for SIGKILL and SIGSTOP: that is fine */
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (child_place_descriptors(launch))
        execve(launch->path, launch->arguments, launch->environment);
    _exit(EXIT_NOT_EXECUTED);
}

/* --- the parent ------------------------------------------------------------------------------ */

static void collect_descriptors(struct launch *launch, const struct slot *slot, int channel, int config)
{
    launch->fd_count = 3 + slot->listeners.count;
    launch->fds = mem_alloc_array(launch->fd_count, sizeof *launch->fds);
    launch->fds[0] = channel;
    launch->fds[1] = config;
    launch->fds[2] = supervisor.log_fd; /* -1: becomes /dev/null */
    for (size_t i = 0; i < slot->listeners.count; i++)
        launch->fds[3 + i] = slot->listeners.fds[i];
}

static bool send_start_record(const struct slot *slot, int channel)
{
    char *empty_root = supervisor.ids.is_root ? layout_empty_root(slot->config) : mem_strdup("");
    struct start_record record = {
        .role = (uint8_t)slot->role,
        .service = slot->service,
        .log_sink = (uint8_t)master_log_kind(supervisor.config),
        .has_log = supervisor.log_fd >= 0,
        .verbose = supervisor.verbose,
        .drop_ids = supervisor.ids.is_root,
        .uid = slot->uid,
        .gid = slot->gid,
        .empty_root = empty_root,
        .listeners = slot->listeners.names,
        .listener_count = slot->listeners.count,
    };
    struct str packet = STR_EMPTY;
    start_record_encode(&record, &packet);
    bool sent = packet.len <= MASTER_RECORD_LIMIT &&
                send(channel, packet.data, packet.len, MSG_NOSIGNAL) == (ssize_t)packet.len;
    str_free(&packet);
    free(empty_root);
    return sent;
}

static pid_t launch_run(struct launch *launch, const struct slot *slot)
{
    launch->path = mem_printf("%s/%s", supervisor.daemon_directory, role_name(slot->role));
    launch->arguments[0] = (char *)role_name(slot->role);
    launch->arguments[1] = (char *)"-n";
    launch->arguments[2] = slot->service;
    launch->environment = config_make_environment(slot->config, "import_environment", "/usr/bin:/bin");
    log_flush();
    pid_t pid = fork();
    if (pid == 0)
        child_exec(launch);
    config_free_environment(launch->environment);
    return pid;
}

static void on_role_lost(struct ipc_channel *channel);
static void on_ready(struct ipc_channel *channel, struct ipc_message *message);
static void on_log_lost(struct ipc_channel *channel, struct ipc_message *message);

static const struct ipc_rule role_rules[] = {
    {MASTER_READY, "ready", IPC_NOTICE, false, IPC_ANY_STATE, 0, on_ready},
    {MASTER_LOG_LOST, "log lost", IPC_NOTICE, false, IPC_ANY_STATE, 0, on_log_lost},
};
/* A role that breaks the protocol loses its channel and then its life; the supervisor must not follow it. */
static const struct ipc_edge role_edge = {
    "master->role", IPC_FROM_CLIENT, role_rules, sizeof role_rules / sizeof role_rules[0], on_role_lost,
};

static void on_role_lost(struct ipc_channel *channel)
{
    supervise_channel_lost(ipc_owner(channel));
}

static void on_ready(struct ipc_channel *channel, struct ipc_message *message UNUSED)
{
    supervise_process_ready(ipc_owner(channel));
}

static void on_log_lost(struct ipc_channel *channel UNUSED, struct ipc_message *message UNUSED)
{
    master_log_lost();
}

struct process *process_spawn(struct slot *slot)
{
    int fds[2];
    struct launch launch = {0};
    int config = process_config_descriptor(slot->config);
    if (config < 0 || !ipc_try_socket_pair(fds)) {
        log_warning("cannot start %s: %s", role_name(slot->role), strerror(errno));
        if (config >= 0)
            close(config);
        return NULL;
    }
    collect_descriptors(&launch, slot, fds[1], config);
    pid_t pid = send_start_record(slot, fds[0]) ? launch_run(&launch, slot) : -1;
    if (pid < 0)
        log_warning("cannot start %s: %s", role_name(slot->role), strerror(errno));
    close(fds[1]);
    close(config);
    free(launch.fds);
    if (pid < 0) {
        close(fds[0]);
        free(launch.path);
        return NULL;
    }
    struct process *process = mem_alloc(sizeof *process);
    process->slot = slot;
    process->role = slot->role;
    process->service = mem_strdup(slot->service);
    process->pid = pid;
    process->path = launch.path;
    process->channel = ipc_open(&role_edge, fds[0], process);
    TAILQ_INSERT_TAIL(&supervisor.processes, process, link);
    if (process->role == ROLE_KEYS)
        key_files_send_all(process);
    return process;
}
