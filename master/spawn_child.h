/* SPDX-License-Identifier: ISC */
/* The programs that spawn services run: between spawn.c and spawn_child.c. */
#ifndef POSTHORN_MASTER_SPAWN_CHILD_H
#define POSTHORN_MASTER_SPAWN_CHILD_H

#include "master/spawn.h"

/* Starts the service's program over a connection; fd stays the caller's. False: it could not be started, and is logged. */
bool spawn_child_start(struct spawn_service *service, int fd);
/* The programs of a service belong to its successor (NULL: to nobody) from now on. */
void spawn_children_move(struct spawn_service *service, struct spawn_service *successor);
/* SIGTERM for all, SIGKILL when limit_ms have passed. */
void spawn_children_end(int64_t limit_ms);

/* spawn.c: a program of the service ended. is_faulty: it could not be executed, or died of a signal of its own. */
void spawn_service_left(struct spawn_service *service, bool is_faulty, int64_t lived_ms);

#endif
