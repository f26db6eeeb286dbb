/* SPDX-License-Identifier: ISC */
/*
 * A few connections to PostgreSQL, shared by all tables with the same hosts, user and database, and by any
 * number of fibers. Waiting lookups get the next free connection in the order they came.
 */
#ifndef POSTHORN_TABLE_PGSQL_POOL_H
#define POSTHORN_TABLE_PGSQL_POOL_H

#include <libpq-fe.h>

#include "common/base/fiber.h"
#include "common/table/db_config.h"

struct pgsql_pool;
struct pgsql_connection;

struct pgsql_parameters {
    const char *hosts, *user, *password, *database, *encoding;
    int64_t retry_interval, idle_interval; /* seconds */
};

/* The pool for these parameters; one per set of them. Never NULL, never connects by itself. */
struct pgsql_pool *pgsql_pool_open(const struct pgsql_parameters *parameters);
void pgsql_pool_close(struct pgsql_pool *pool);

/*
 * A connection that is ready for a query, connected now if need be (hosts in turn). NULL when no host can be
 * reached or the deadline passes; failed hosts were warned about, once per attempt.
 */
struct pgsql_connection *pgsql_pool_take(struct pgsql_pool *pool, int64_t deadline);
/* Gives it back. broken: it cannot be used again (lost, or in the middle of a query). */
void pgsql_pool_give(struct pgsql_pool *pool, struct pgsql_connection *connection, bool broken);
/* The server closed a connection: those that lie idle have met the same fate. */
void pgsql_pool_drop_idle(struct pgsql_pool *pool);

/* Asks the server to end the query that runs on this connection; does not wait. */
void pgsql_cancel_query(PGconn *connection);

PGconn *pgsql_connection_handle(struct pgsql_connection *connection);
const char *pgsql_connection_host(const struct pgsql_connection *connection);
/* True when it has answered a query before: a loss then says nothing about the server's present state. */
bool pgsql_connection_was_used(const struct pgsql_connection *connection);
enum wait_status pgsql_connection_wait(struct pgsql_connection *connection, int what, int64_t deadline) MUST_CHECK;

#endif
