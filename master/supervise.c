/* SPDX-License-Identifier: ISC */
/*
 * supervise: keeps one process of every slot alive. Driven by SIGCHLD, timers and what processes say on their
 * channels. A process that ends is replaced at once the first time, then after a growing delay; a process
 * that loses its channel is dead to us and gets a second to end before it is killed.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/ipc.h"
#include "common/process/log_sink.h"
#include "common/process/master_protocol.h"
#include "master/spawn.h"
#include "master/supervisor.h"

#define LOST_GRACE_MS 1000
#define START_RETRY_MS 1000
#define DRAIN_LIMIT_MS (24 * 3600 * 1000) /* a reload drops no session, however long it takes */

struct slot *slot_find(enum role_id role, const char *service)
{
    struct slot *slot;
    TAILQ_FOREACH (slot, &supervisor.slots, link)
        if (slot->role == role && strcmp(slot->service, service) == 0)
            return slot;
    return NULL;
}

void slot_free(struct slot *slot)
{
    TAILQ_REMOVE(&supervisor.slots, slot, link);
    if (slot->restart != NULL)
        event_free(slot->restart);
    listener_set_free(&slot->listeners);
    config_free(slot->config);
    free(slot->service);
    free(slot);
}

bool supervise_all_ready(void)
{
    struct slot *slot;
    TAILQ_FOREACH (slot, &supervisor.slots, link)
        if (slot->wanted && (slot->current == NULL || !slot->current->ready || slot->successor != NULL))
            return false;
    return true;
}

/* --- ending ---------------------------------------------------------------------------------- */

static void on_deadline(evutil_socket_t fd, short what, void *arg);

static void process_set_deadline(struct process *process, int64_t limit_ms)
{
    struct timeval tv = {limit_ms / 1000, limit_ms % 1000 * 1000};
    if (process->deadline == NULL)
        process->deadline = evtimer_new(fiber_loop_base(), on_deadline, process);
    if (process->deadline == NULL || event_add(process->deadline, &tv) < 0)
        log_fatal("cannot set a timer");
}

/* Asked first, then made to. */
static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct process *process = arg;
    if (process->asked_to_end)
        log_warning("process %s pid %ld does not end: killed", process->path, (long)process->pid);
    if (kill(process->pid, process->asked_to_end ? SIGKILL : SIGTERM) < 0 && errno != ESRCH)
        log_warning("kill %ld: %s", (long)process->pid, strerror(errno));
    if (!process->asked_to_end)
        process_set_deadline(process, LOST_GRACE_MS);
    process->asked_to_end = true;
}

void process_end(const struct process *process)
{
    if (kill(process->pid, SIGTERM) < 0 && errno != ESRCH)
        log_warning("kill %ld: %s", (long)process->pid, strerror(errno));
}

/* Nobody restarts it, or counts on it, from now on. */
static void process_leave_slot(struct process *process)
{
    struct slot *slot = process->slot;
    process->slot = NULL;
    if (slot != NULL && slot->current == process)
        slot->current = NULL;
    if (slot != NULL && slot->successor == process)
        slot->successor = NULL;
}

void process_drain(struct process *process, int64_t limit_ms)
{
    struct str body = STR_EMPTY;
    process->draining = true;
    process_leave_slot(process);
    ipc_put_bool(&body, supervisor.stopping);
    if (process->channel != NULL)
        ipc_notify(process->channel, MASTER_DRAIN, str_slice(&body), -1);
    str_free(&body);
    process_set_deadline(process, limit_ms);
}

void supervise_channel_lost(struct process *process)
{
    process->channel = NULL;
    process_set_deadline(process, LOST_GRACE_MS);
}

void process_free(struct process *process)
{
    TAILQ_REMOVE(&supervisor.processes, process, link);
    if (process->channel != NULL)
        ipc_close(process->channel);
    if (process->deadline != NULL)
        event_free(process->deadline);
    free(process->service);
    free(process->path);
    free(process);
}

/* --- starting -------------------------------------------------------------------------------- */

static int64_t longest_delay_ms(void)
{
    return config_seconds(supervisor.config, "service_throttle_time") * 1000;
}

static void on_restart(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    if (!supervisor.stopping)
        slot_start(arg);
}

static void slot_start_later(struct slot *slot, int64_t delay_ms)
{
    struct timeval tv = {delay_ms / 1000, delay_ms % 1000 * 1000};
    if (slot->restart == NULL)
        slot->restart = evtimer_new(fiber_loop_base(), on_restart, slot);
    if (slot->restart == NULL || event_add(slot->restart, &tv) < 0)
        log_fatal("cannot set a timer");
}

void slot_start(struct slot *slot)
{
    if (slot->restart != NULL)
        event_del(slot->restart);
    struct process *process = process_spawn(slot);
    if (process == NULL) {
        slot_start_later(slot, START_RETRY_MS); /* there is no descriptor, memory or process number now */
        return;
    }
    if (slot->current == NULL)
        slot->current = process;
    else
        slot->successor = process;
    connect_as_client(process);
}

void supervise_process_ready(struct process *process)
{
    struct slot *slot = process->slot;
    if (process->ready || slot == NULL)
        return;
    process->ready = true;
    process->ready_at = clock_ms();
    slot->early_ends = 0;
    connect_as_server(process);
    if (process == slot->successor) {
        struct process *old = slot->current;
        slot->current = process;
        slot->successor = NULL;
        process_drain(old, DRAIN_LIMIT_MS);
    }
    if (!supervisor.stopping && supervise_all_ready())
        supervisor_ready();
}

/* --- a process ended --------------------------------------------------------------------------- */

static void log_end(const struct process *process, int status)
{
    if (WIFSIGNALED(status)) {
        if (!supervisor.stopping || WTERMSIG(status) != SIGTERM)
            log_warning("process %s pid %ld killed by signal %d", process->path, (long)process->pid,
                        WTERMSIG(status));
    } else if (WEXITSTATUS(status) == EXIT_NOT_EXECUTED)
        log_warning("process %s cannot be executed: is it there, and is all it needs?", process->path);
    else if (WEXITSTATUS(status) != 0)
        log_warning("process %s pid %ld exit status %d", process->path, (long)process->pid, WEXITSTATUS(status));
}

static void slot_restart(struct slot *slot, const struct process *process)
{
    int64_t served = process->ready ? clock_ms() - process->ready_at : -1;
    int64_t delay = backoff_after_end(&slot->backoff, served, longest_delay_ms());
    if (!process->ready) {
        slot->early_ends++;
        log_warning("%s: bad command startup -- throttling", process->path);
    }
    slot->restarts++;
    if (!process->ready && !supervisor.was_ready)
        supervisor_start_failed(slot);
    if (supervisor.stopping)
        return;
    if (delay == 0)
        slot_start(slot);
    else
        slot_start_later(slot, delay);
}

static void process_ended(struct process *process, int status)
{
    struct slot *slot = process->slot;
    log_end(process, status);
    bool was_successor = slot != NULL && slot->successor == process;
    bool was_current = slot != NULL && slot->current == process;
    if (was_successor)
        slot->successor = NULL;
    if (was_current)
        slot->current = NULL;
    /* A successor that fails leaves the old process in place; it is tried again like any other. */
    if (!supervisor.stopping && slot != NULL && slot->wanted && (was_successor || was_current))
        if (!(was_current && slot->successor != NULL))
            slot_restart(slot, process);
    if (was_current && slot->successor != NULL) { /* died while its successor starts: that one takes over */
        slot->current = slot->successor;
        slot->successor = NULL;
    }
    process_free(process);
    if (supervisor.stopping)
        supervisor_process_ended();
}

static struct process *process_of_pid(pid_t pid)
{
    struct process *process;
    TAILQ_FOREACH (process, &supervisor.processes, link)
        if (process->pid == pid)
            return process;
    return NULL;
}

static void on_sigchld(evutil_socket_t signal_number UNUSED, short what UNUSED, void *arg UNUSED)
{
    int status;
    pid_t pid;
    /* Programs of spawn services; and as process 1 of a container we inherit orphans that are nobody's. */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct process *process = process_of_pid(pid);
        if (process != NULL)
            process_ended(process, status);
        else
            spawn_child_ended(pid, status);
    }
}

void supervise_broadcast_log(void)
{
    struct process *process;
    struct str body = STR_EMPTY;
    ipc_put_u8(&body, (uint8_t)master_log_kind(supervisor.config));
    TAILQ_FOREACH (process, &supervisor.processes, link)
        if (process->channel != NULL && supervisor.log_fd >= 0)
            ipc_notify(process->channel, MASTER_LOG, str_slice(&body), supervisor.log_fd);
    str_free(&body);
}

void supervise_init(void)
{
    struct event *event = evsignal_new(fiber_loop_base(), SIGCHLD, on_sigchld, NULL);
    if (event == NULL || event_add(event, NULL) < 0)
        log_fatal("cannot watch SIGCHLD");
}
