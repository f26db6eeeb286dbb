/* SPDX-License-Identifier: ISC */
/* One element of a pgsql table's "hosts", and how to connect to it. For pgsql_pool.c only. */
#ifndef POSTHORN_TABLE_PGSQL_HOST_H
#define POSTHORN_TABLE_PGSQL_HOST_H

#include <libpq-fe.h>

#include "common/base/arena.h"
#include "common/table/pgsql_pool.h"

struct pgsql_host {
    char *text;        /* as written, for warnings */
    char *name, *port; /* of unix: and inet:; port may be NULL */
    bool is_uri;
    bool proven;       /* the last attempt succeeded */
    unsigned connecting;
    int64_t down_until;
    int64_t pause_ms;  /* before the next attempt; grows */
};

/* "unix:/path", "inet:host:port", "host:port", "[::1]:port", "/path", "postgresql://..." */
void pgsql_host_parse(struct pgsql_host *host, const char *text, struct arena *arena);

/* Connects; may wait. NULL with *error (malloc'd). */
PGconn *pgsql_host_connect(const struct pgsql_host *host, const struct pgsql_parameters *parameters,
                           int64_t deadline, char **error);

#endif
