/* SPDX-License-Identifier: ISC */
/* One query at a MySQL or MariaDB server, on a worker's thread. For mysql.c only. */
#ifndef POSTHORN_TABLE_MYSQL_CONNECTION_H
#define POSTHORN_TABLE_MYSQL_CONNECTION_H

#include "common/table/db_job.h"

/* Everything that two tables must have in common to share connections. */
struct mysql_parameters {
    const char *hosts, *user, *password, *database, *charset, *option_file, *option_group;
    const char *tls_key_file, *tls_cert_file, *tls_ca_file, *tls_ca_path, *tls_ciphers;
    int tls_verify_cert; /* -1: as the library has it */
    int64_t retry_interval, idle_interval; /* seconds */
};

/* The pool for these parameters; one per set of them. */
struct worker_pool *mysql_pool_open(const struct mysql_parameters *parameters);

/* One lookup: what is asked, in copies of its own, and the values that came back. */
struct mysql_job {
    struct db_job db; /* values: row by row, without the NULLs */
    const char *spec, *query; /* the template */
    unsigned query_needs;
    struct slice key;
    bool require_result_set;
};

extern const struct worker_kind mysql_worker;

#endif
