/* SPDX-License-Identifier: ISC */
/*
 * Which processes a configuration asks for. Pure: from main.cf and master.cf to a list of wanted processes,
 * each with its own view of the configuration and the names of its listening sockets.
 */
#ifndef POSTHORN_MASTER_PLAN_H
#define POSTHORN_MASTER_PLAN_H

#include "common/config/config.h"
#include "common/config/master_cf.h"
#include "common/process/role.h"

struct wanted {
    enum role_id role;
    char *service;         /* the master.cf name; "queue", "lookup", "resolver" and "state" for those */
    struct config *config; /* with the service's overrides */
    char *listen;          /* inet service: its name column, "smtp" or "127.0.0.1:10025"; otherwise NULL */
};

struct plan {
    struct wanted *list;
    size_t count;
};

/* Problems name what is accepted without effect, and what cannot be run. The plan copies what it needs. */
void plan_make(const struct config *config, const struct service_table *services, struct plan *plan,
               struct config_problems *problems);
void plan_free(struct plan *plan);

/* Splits the name column of an inet service. Host is "" for "all that inet_interfaces says". False: malformed. */
bool plan_split_endpoint(const char *name, char **host, char **port) MUST_CHECK;

#endif
