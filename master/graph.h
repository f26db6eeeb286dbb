/* SPDX-License-Identifier: ISC */
/* Which role may talk to which: the whole process graph in one table. */
#ifndef POSTHORN_MASTER_GRAPH_H
#define POSTHORN_MASTER_GRAPH_H

#include <stdbool.h>

#include "common/process/role.h"

/* True when a process of the one role asks, and one of the other answers. */
bool graph_has_edge(enum role_id client, enum role_id server);

/* The parameter that names a role's own user; NULL: it always runs as mail_owner. */
const char *graph_user_parameter(enum role_id role);

/* True when a reload starts a fresh process and drains the old; false: the running one takes the
 * new configuration (the queue owns the spool, state its file: there can be only one). */
bool graph_is_replaced(enum role_id role);

#endif
