/* SPDX-License-Identifier: ISC */
/*
 * stop: ends the processes in the order in which mail flows: first who takes mail in, then the queue with its
 * deliveries, then the memory that they used, then everybody else. Each step is bounded; SIGTERM takes all steps at once. Mail is safe either
 * way: what was acknowledged is on disk, and a delivery that is cut off is made again.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/base/log.h"
#include "master/spawn.h"
#include "master/supervisor.h"

#define SESSIONS_MS 2500
#define DELIVERIES_MS 2500
#define TERMINATE_MS 1000

enum step { STOP_SESSIONS, STOP_QUEUE, STOP_STATE, STOP_ALL };

static enum step step;

static bool belongs_to_step(const struct process *process)
{
    switch (step) {
    case STOP_SESSIONS:
        return process->role == ROLE_SMTPD || process->role == ROLE_SUBMISSION;
    case STOP_QUEUE:
        return process->role == ROLE_QUEUE;
    case STOP_STATE:
        return process->role == ROLE_STATE;
    default:
        return true;
    }
}

/* True when there is something to wait for. */
static bool run_step(void)
{
    struct process *process;
    bool any = false;
    TAILQ_FOREACH (process, &supervisor.processes, link) {
        if (!belongs_to_step(process))
            continue;
        any = true;
        process_drain(process, step == STOP_SESSIONS ? SESSIONS_MS : step == STOP_QUEUE ? DELIVERIES_MS : TERMINATE_MS);
        if (step == STOP_ALL && kill(process->pid, SIGTERM) < 0 && errno != ESRCH)
            log_warning("kill %ld: %s", (long)process->pid, strerror(errno));
    }
    if (step == STOP_ALL) { /* sessions that ended asked them until now */
        spawn_stop(TERMINATE_MS);
        any = any || !spawn_is_idle();
    }
    return any;
}

static bool step_is_done(void)
{
    const struct process *process;
    TAILQ_FOREACH (process, &supervisor.processes, link)
        if (belongs_to_step(process))
            return false;
    return step != STOP_ALL || spawn_is_idle();
}

void supervisor_stop(bool gently)
{
    if (supervisor.stopping && (gently || step == STOP_ALL))
        return;
    supervisor.stopping = true;
    notify_send("STOPPING=1");
    step = gently ? STOP_SESSIONS : STOP_ALL;
    if (!run_step())
        supervisor_process_ended();
}

void supervisor_process_ended(void)
{
    while (step_is_done()) {
        if (step == STOP_ALL) {
            fiber_loop_stop();
            return;
        }
        step = (enum step)(step + 1);
        (void)run_step();
    }
}
