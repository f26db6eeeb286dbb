/* SPDX-License-Identifier: ISC */
/* A lookup at a database whose library blocks: what mysql: and ldap: do alike before and after a worker's thread asks. */
#ifndef POSTHORN_TABLE_DB_JOB_H
#define POSTHORN_TABLE_DB_JOB_H

#include "common/table/db_config.h"
#include "common/table/table.h"
#include "common/table/worker_pool.h"

/* What a type's own job begins with. Made with copies of everything: its fiber may give up before its thread does. */
struct db_job {
    struct worker_job job;
    struct arena *arena;
    bool answered; /* the thread's: false after complaints */
    struct slice *values; /* in the arena, or the type's own */
    size_t value_count;
};

/* A type's find(). make_job: on the fiber; NULL when the key lacks a part that the query wants. */
struct db_lookup {
    struct db_config *settings;
    struct worker_pool *pool;
    const struct worker_kind *kind;
    struct db_job *(*make_job)(const void *table, struct slice key, int64_t deadline);
};
enum table_status db_job_find(const struct db_lookup *lookup, const void *table, struct slice key, struct str *value,
                              char **error, int64_t deadline) MUST_CHECK;

#endif
