/* SPDX-License-Identifier: ISC */
/*
 * spawn(8) services: a program for each connection, with the connection as its standard input, output and error. The
 * supervisor accepts and starts it; not one byte of the connection is read here.
 */
#ifndef POSTHORN_MASTER_SPAWN_H
#define POSTHORN_MASTER_SPAWN_H

#include <sys/queue.h>
#include <sys/types.h>

#include "common/process/layout.h"
#include "master/backoff.h"
#include "master/listeners.h"
#include "master/plan.h"

struct event;

struct spawn_service {
    TAILQ_ENTRY(spawn_service) link;
    struct wanted_spawn wanted;
    uid_t uid;
    gid_t gid;
    bool changes_ids;
    struct listener_set listeners;
    struct event **events; /* one for each listener, while it accepts */
    struct event *resume;  /* armed while it pauses */
    struct backoff backoff;
    int running;
    int64_t warned_at;     /* clock_ms(): that its process limit was reached */
};
TAILQ_HEAD(spawn_list, spawn_service);

/* Finds users and groups and opens the sockets. A service that cannot run is a problem that is not fatal, and is left out;
 * false: a socket cannot be had. */
bool spawn_services_make(struct plan *plan, const struct mail_ids *ids, struct spawn_list *list,
                         struct config_problems *problems) MUST_CHECK;
void spawn_list_free(struct spawn_list *list);
/* These take the place of those that ran; programs that run go on. Before the old listeners are closed. */
void spawn_services_replace(struct spawn_list *list);

/* A child that is no role's process ended. */
void spawn_child_ended(pid_t pid, int status);
/* No new programs; those that run are asked to end, then made to. */
void spawn_stop(int64_t limit_ms);
bool spawn_is_idle(void);

#endif
