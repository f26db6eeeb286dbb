/* SPDX-License-Identifier: ISC */
/*
 * delivery_agent: jobs of a delivery agent. Needs no right beyond the channel to the queue. What goes wrong
 * with one delivery becomes its result; only a malformed record from the queue ends the process.
 */
#include "common/mail/delivery_agent.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/process/role.h"

#define SPARE_JOBS 64                        /* kept with their memory for the next delivery */
#define LARGEST_DELIVERY (16u * 1024 * 1024) /* inline content and some ten thousand recipients */

static LIST_HEAD(, delivery_job) active = LIST_HEAD_INITIALIZER(active);
static LIST_HEAD(, delivery_job) spare = LIST_HEAD_INITIALIZER(spare);

static struct {
    void (*run)(struct delivery_job *job);
    unsigned resolution;
    bool soft_bounce;
    bool keeps_failures; /* address_verify_negative_cache */
    bool draining;
    size_t spare_count;
} agent;

static struct delivery_job *job_new(void)
{
    struct delivery_job *job = LIST_FIRST(&spare);
    if (job != NULL) {
        LIST_REMOVE(job, link);
        agent.spare_count--;
    } else {
        job = mem_alloc(sizeof *job);
        job->arena = arena_new();
    }
    job->fd = -1;
    job->unreachable = NULL;
    LIST_INSERT_HEAD(&active, job, link);
    return job;
}

static void job_free(struct delivery_job *job)
{
    LIST_REMOVE(job, link);
    if (job->fd >= 0)
        close(job->fd); /* read only: nothing can be lost */
    if (agent.spare_count < SPARE_JOBS && job->body.cap <= 2 * INLINE_CONTENT_LIMIT) {
        str_clear(&job->body);
        arena_reset(job->arena);
        LIST_INSERT_HEAD(&spare, job, link);
        agent.spare_count++;
    } else {
        str_free(&job->body);
        arena_free(job->arena);
        free(job);
    }
    if (agent.draining && LIST_EMPTY(&active))
        role_finished();
}

static void job_answer(struct delivery_job *job)
{
    static struct str answer; /* ipc_reply() copies it */
    if (job->channel == NULL)
        return;
    str_clear(&answer);
    delivery_report_encode(&job->report, job->unreachable, &answer);
    ipc_reply(job->channel, job->id, str_slice(&answer), -1);
}

static void job_run(void *arg)
{
    struct delivery_job *job = arg;
    delivery_report_start(&job->report, &job->delivery, job->arena);
    job->report.resolution = agent.resolution;
    job->report.soft_bounce = agent.soft_bounce;
    job->report.keeps_failures = agent.keeps_failures;
    delivery_content_start(&job->content, &job->delivery, job->fd);
    agent.run(job);
    delivery_content_stop(&job->content);
    job_answer(job);
    job_free(job);
}

static void agent_on_deliver(struct ipc_channel *channel, struct ipc_message *message)
{
    struct delivery_job *job = job_new();
    job->channel = channel;
    job->id = message->id;
    str_append_slice(&job->body, message->body);
    if (!delivery_decode(str_slice(&job->body), job->arena, &job->delivery) ||
        job->delivery.recipient_count == 0 || job->delivery.in_file != (message->fd >= 0)) {
        job_free(job);
        ipc_violation(channel, "malformed delivery");
        return;
    }
    job->fd = message->fd;
    message->fd = -1;
    fiber_spawn(job->delivery.envelope.queue_id, job_run, job);
}

/* Nobody waits for these results any more; the queue that comes next asks again. */
static void agent_on_lost(struct ipc_channel *channel)
{
    struct delivery_job *job;
    LIST_FOREACH(job, &active, link) {
        if (job->channel == channel)
            job->channel = NULL;
    }
}

static const struct ipc_rule agent_rules[] = {
    {DELIVER, "DELIVER", IPC_REQUEST, false, IPC_ANY_STATE, LARGEST_DELIVERY, agent_on_deliver},
    {DELIVER_FD, "DELIVER_FD", IPC_REQUEST, true, IPC_ANY_STATE, LARGEST_DELIVERY, agent_on_deliver},
};

const struct ipc_edge delivery_agent_edge = {
    .name = "agent<-queue",
    .trust = IPC_FROM_ROLE,
    .rules = agent_rules,
    .rule_count = sizeof agent_rules / sizeof agent_rules[0],
    .lost = agent_on_lost,
};

void delivery_agent_start(void (*run)(struct delivery_job *job), unsigned resolution, bool soft_bounce,
                          bool keeps_failures)
{
    agent.keeps_failures = keeps_failures;
    agent.run = run;
    agent.resolution = resolution;
    agent.soft_bounce = soft_bounce;
}

void delivery_agent_drain(void)
{
    agent.draining = true;
    if (LIST_EMPTY(&active))
        role_finished();
}
