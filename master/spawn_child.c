/* SPDX-License-Identifier: ISC */
/*
 * spawn_child: one program of a spawn service, from fork to its end. It runs as the service's user in a session of its own,
 * with the connection as descriptors 0, 1 and 2 and nothing else, in the queue directory, with export_environment. Past
 * its time limit its process group is killed. Between fork and exec only async-signal-safe calls are made.
 */
#include "master/spawn_child.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "master/supervisor.h"

#define DEFAULT_PATH "/usr/bin:/bin"
#define KILL_GRACE_MS 500 /* between SIGTERM and SIGKILL at the end of the server */

struct spawn_child {
    TAILQ_ENTRY(spawn_child) link;
    struct spawn_service *service; /* NULL: it is not configured any more */
    char *command;
    pid_t pid;
    int64_t started;        /* clock_ms() */
    bool was_killed;        /* by us */
    struct event *deadline; /* NULL: no time limit */
};

static TAILQ_HEAD(, spawn_child) children = TAILQ_HEAD_INITIALIZER(children);

bool spawn_is_idle(void) { return TAILQ_EMPTY(&children); }

/* --- the program ------------------------------------------------------------------------------ */

struct launch {
    const struct spawn_service *service;
    char *path;
    char **environment;
    int fd;
};

/* Like Postfix: one group, the user's or the one named. */
static bool child_become_user(const struct spawn_service *service)
{
    if (!service->changes_ids)
        return true;
    return setgroups(1, &service->gid) == 0 && setresgid(service->gid, service->gid, service->gid) == 0 &&
           setresuid(service->uid, service->uid, service->uid) == 0 && setuid(0) < 0;
}

static bool child_enter_root(const struct spawn_service *service)
{
    return !service->wanted.wants_chroot || !service->changes_ids || chroot(".") == 0;
}

static void child_exec(const struct launch *launch) NORETURN;
static void child_exec(const struct launch *launch)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < 32; number++)
        (void)signal(number, SIG_DFL); /* not for SIGKILL and SIGSTOP: that is fine */
    sigprocmask(SIG_SETMASK, &none, NULL);
    bool ready = setsid() >= 0 && dup2(launch->fd, STDIN_FILENO) >= 0 && dup2(launch->fd, STDOUT_FILENO) >= 0 &&
                 dup2(launch->fd, STDERR_FILENO) >= 0 && close_range(STDERR_FILENO + 1, ~0u, 0) == 0 &&
                 child_enter_root(launch->service) && child_become_user(launch->service);
    if (ready)
        execve(launch->path, launch->service->wanted.command, launch->environment);
    _exit(EXIT_NOT_EXECUTED);
}

/* A name without a slash is looked for where commands usually are. */
static char *find_program(const char *name)
{
    struct slice rest = SLICE(DEFAULT_PATH), directory;
    while (strchr(name, '/') == NULL && slice_next_token(&rest, ":", &directory)) {
        char *path = mem_printf("%.*s/%s", SLICE_ARGS(directory), name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return mem_strdup(name);
}

static pid_t launch_program(const struct spawn_service *service, int fd)
{
    struct launch launch = {.service = service, .fd = fd, .path = find_program(service->wanted.command[0])};
    launch.environment = config_make_environment(service->wanted.config, "export_environment", DEFAULT_PATH);
    log_flush();
    pid_t pid = fork();
    if (pid == 0)
        child_exec(&launch);
    config_free_environment(launch.environment);
    free(launch.path);
    return pid;
}

/* --- its time ------------------------------------------------------------------------------------ */

/* The whole group: it leads one, unless it has not come to that yet. */
static void child_signal(const struct spawn_child *child, int number)
{
    if (kill(-child->pid, number) < 0 && errno == ESRCH && kill(child->pid, number) < 0 && errno != ESRCH)
        log_warning("kill %ld: %s", (long)child->pid, strerror(errno));
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct spawn_child *child = arg;
    if (!supervisor.stopping)
        log_warning_as("spawn", "Command time limit exceeded: \"%s\"", child->command);
    child->was_killed = true;
    child_signal(child, SIGKILL);
}

static void child_set_deadline(struct spawn_child *child, int64_t ms)
{
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    if (child->deadline == NULL)
        child->deadline = evtimer_new(fiber_loop_base(), on_deadline, child);
    if (child->deadline == NULL || event_add(child->deadline, &tv) < 0)
        log_fatal("cannot set a timer");
}

bool spawn_child_start(struct spawn_service *service, int fd)
{
    pid_t pid = launch_program(service, fd);
    if (pid < 0) {
        log_warning_as("spawn", "cannot start %s: %s", service->wanted.command[0], strerror(errno));
        return false;
    }
    struct spawn_child *child = mem_alloc(sizeof *child);
    child->service = service;
    child->command = mem_strdup(service->wanted.command[0]);
    child->pid = pid;
    child->started = clock_ms();
    TAILQ_INSERT_TAIL(&children, child, link);
    if (service->wanted.time_limit > 0)
        child_set_deadline(child, service->wanted.time_limit * 1000);
    return true;
}

/* --- its end ------------------------------------------------------------------------------------------ */

static void log_end(const struct spawn_child *child, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_EXECUTED)
        log_warning_as("spawn", "command %s cannot be executed, or ended with status %d", child->command, EXIT_NOT_EXECUTED);
    else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        log_warning_as("spawn", "command %s exit status %d", child->command, WEXITSTATUS(status));
    else if (WIFSIGNALED(status) && !(supervisor.stopping && WTERMSIG(status) == SIGTERM))
        log_warning_as("spawn", "command %s killed by signal %d", child->command, WTERMSIG(status));
}

void spawn_child_ended(pid_t pid, int status)
{
    struct spawn_child *child;
    TAILQ_FOREACH (child, &children, link)
        if (child->pid == pid)
            break;
    if (child == NULL)
        return;
    bool is_faulty = !child->was_killed &&
                     (WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_EXECUTED));
    log_end(child, status);
    TAILQ_REMOVE(&children, child, link);
    if (child->service != NULL)
        spawn_service_left(child->service, is_faulty, clock_ms() - child->started);
    if (child->deadline != NULL)
        event_free(child->deadline);
    free(child->command);
    free(child);
    if (supervisor.stopping)
        supervisor_process_ended();
}

void spawn_children_move(struct spawn_service *service, struct spawn_service *successor)
{
    struct spawn_child *child;
    TAILQ_FOREACH (child, &children, link)
        if (child->service == service)
            child->service = successor;
}

void spawn_children_end(int64_t limit_ms)
{
    struct spawn_child *child;
    TAILQ_FOREACH (child, &children, link) {
        child_signal(child, SIGTERM);
        child_set_deadline(child, limit_ms < KILL_GRACE_MS ? limit_ms : KILL_GRACE_MS);
    }
}
