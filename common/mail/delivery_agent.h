/* SPDX-License-Identifier: ISC */
/*
 * What every delivery agent (lmtp, virtual, later smtp) does around a delivery: takes DELIVER and DELIVER_FD
 * from the queue, runs each on a fiber of its own, answers with the report's results.
 */
#ifndef POSTHORN_MAIL_DELIVERY_AGENT_H
#define POSTHORN_MAIL_DELIVERY_AGENT_H

#include <sys/queue.h>

#include "common/mail/delivery_content.h"
#include "common/mail/delivery_report.h"
#include "common/process/ipc.h"

struct delivery_job {
    struct delivery delivery;
    struct delivery_content content;
    struct delivery_report report;
    struct arena *arena;      /* for everything that lives as long as the job */
    const char *unreachable;  /* set by the agent: why no session could be held, or NULL */
    /* The agent's code below the surface. */
    struct ipc_channel *channel; /* NULL: the queue that asked is gone */
    uint32_t id;
    int fd;
    struct str body;
    LIST_ENTRY(delivery_job) link;
};

/*
 * run: delivers on its own fiber, may wait, decides every recipient in job->report. resolution and soft_bounce
 * (delay_logging_resolution_limit, soft_bounce), and keeps_failures (address_verify_negative_cache) go into every report.
 */
void delivery_agent_start(void (*run)(struct delivery_job *job), unsigned resolution, bool soft_bounce,
                          bool keeps_failures);

/* The agent's side of the edge to the queue, for role->edge(). */
extern const struct ipc_edge delivery_agent_edge;

/* role->drain: calls role_finished() as soon as no delivery is under way. */
void delivery_agent_drain(void);

#endif
