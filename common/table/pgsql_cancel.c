/* SPDX-License-Identifier: ISC */
/*
 * pgsql_cancel: tells the server that nobody waits for a query any more. Without it a slow query would go on there after each
 * deadline, one beside the other. libpq makes a connection of its own for that and blocks on it, so a helper thread does it;
 * at most a few at once: when that many do not get through, the server is not there. Called by pgsql.c.
 */
#include <stdatomic.h>

#include "common/base/fiber.h"
#include "common/table/helper_thread.h"
#include "common/table/pgsql_pool.h"

#define MOST_CANCELS 16

static atomic_int running;

static void cancel_now(PGcancel *cancel)
{
    char why[256];
    (void)PQcancel(cancel, why, sizeof why); /* a server that is gone has ended the query, too */
    PQfreeCancel(cancel);
}

static void *cancel_main(void *arg)
{
    cancel_now(arg);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

void pgsql_cancel_query(PGconn *connection)
{
    PGcancel *cancel = PQgetCancel(connection);
    if (cancel == NULL)
        return; /* not connected any more */
    if (fiber_self() == NULL) {
        cancel_now(cancel);
    } else if (atomic_fetch_add(&running, 1) >= MOST_CANCELS || !helper_thread_start(cancel_main, cancel)) {
        atomic_fetch_sub(&running, 1);
        PQfreeCancel(cancel);
    }
}
