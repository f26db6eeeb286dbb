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

/* A spawn(8) service: a program for each connection. */
struct wanted_spawn {
    char *name; /* the master.cf name; NULL: taken over */
    enum service_type type;
    bool is_private, wants_chroot;
    char *user, *group;    /* group NULL: the user's */
    char **command;        /* NULL-terminated */
    int process_limit;     /* 0: none */
    int64_t time_limit;    /* seconds; 0: none */
    struct config *config; /* with the service's overrides */
    struct config_origin where;
};

struct plan {
    struct wanted *list;
    size_t count;
    struct wanted_spawn *spawns;
    size_t spawn_count;
};

/* Problems name what is accepted without effect, and what cannot be run. The plan copies what it needs. */
void plan_make(const struct config *config, const struct service_table *services, struct plan *plan,
               struct config_problems *problems);
void plan_free(struct plan *plan);

/* spawn_entry.c: reads one service. False: it cannot run, and a problem that is not fatal says why. */
bool wanted_spawn_read(const struct service *service, const struct config *config, struct wanted_spawn *spawn,
                       struct config_problems *problems) MUST_CHECK;
void wanted_spawn_free(struct wanted_spawn *spawn);

/* Splits the name column of an inet service. Host is "" for "all that inet_interfaces says". False: malformed. */
bool plan_split_endpoint(const char *name, char **host, char **port) MUST_CHECK;

#endif
