/* SPDX-License-Identifier: ISC */
/* How to connect to one element of a pgsql table's "hosts". For pgsql_pool.c only. */
#ifndef POSTHORN_TABLE_PGSQL_HOST_H
#define POSTHORN_TABLE_PGSQL_HOST_H

#include <libpq-fe.h>

#include "common/table/pgsql_pool.h"
#include "common/table/server_hosts.h"

/* Connects; may wait. NULL with *error (malloc'd). */
PGconn *pgsql_host_connect(const struct server_host *host, const struct pgsql_parameters *parameters,
                           int64_t deadline, char **error);

#endif
