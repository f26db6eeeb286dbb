/* SPDX-License-Identifier: ISC */
/* master.cf: the eight columns of master(5), continuation lines, -o name=value and -o { name = value }. */
#ifndef POSTHORN_CONFIG_MASTER_CF_H
#define POSTHORN_CONFIG_MASTER_CF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"

enum service_type { SERVICE_INET, SERVICE_UNIX, SERVICE_FIFO, SERVICE_PASS, SERVICE_UNIX_DGRAM };

struct service {
    char *name;             /* "smtp", "127.0.0.1:10025", "showq" */
    enum service_type type;
    bool is_private;
    bool is_unprivileged;
    bool wants_chroot;      /* "-" counts as no, as at compatibility_level 1 and above */
    int wakeup_seconds;     /* 0: never */
    bool wakeup_only_if_used; /* the "?" suffix */
    int process_limit;      /* 0: none; -1: default_process_limit */
    char *command;          /* "smtpd", "pipe" */
    char **arguments;       /* without the -o options; NULL-terminated, [0] is the first argument */
    size_t argument_count;
    char **override_names;  /* -o name=value, in order */
    char **override_values; /* unevaluated */
    size_t override_count;
    struct config_origin where;
};

struct service_table {
    struct service *services;
    size_t count;
};

/* Reads DIRECTORY/master.cf. False only when it cannot be read; bad lines are problems and are left out. */
bool master_cf_load(const char *directory, struct service_table *table,
                    struct config_problems *problems) MUST_CHECK;
/* The same for a text in memory; file names it in problems. Pure: the fuzz target. */
void master_cf_parse(const char *file, struct slice text, struct service_table *table,
                     struct config_problems *problems);
void service_table_free(struct service_table *table);

/* "inet", "unix", ... */
const char *service_type_name(enum service_type type);

/* The configuration that one service sees: base plus its overrides. */
struct config *service_config(const struct service *service, const struct config *base);

#endif
