/* SPDX-License-Identifier: ISC */
/* What the files of ldap: share. */
#ifndef POSTHORN_TABLE_LDAP_TABLE_H
#define POSTHORN_TABLE_LDAP_TABLE_H

#include <ldap.h>
#include <stdatomic.h>

#include "common/table/db_job.h"

enum ldap_bind { LDAP_BIND_NONE, LDAP_BIND_SIMPLE, LDAP_BIND_SASL };

/* How to reach and address a server: what two tables must have in common to share connections. All texts non-NULL. */
struct ldap_server {
    struct arena *arena;
    const char *uris; /* separated by blanks; the library tries them in turn */
    const char *bind_dn, *bind_password;
    const char *sasl_mechanisms, *sasl_realm, *sasl_authz_id;
    const char *tls_ca_dir, *tls_ca_file, *tls_cert, *tls_key, *tls_random_file, *tls_ciphers;
    enum ldap_bind bind;
    int64_t version, dereference, sasl_minssf, timeout; /* seconds */
    bool chase_referrals, start_tls, uses_tls, tls_require_cert;
};

/* What is looked for in a table. Shared by the table and its jobs, which may outlive it: the last holder frees. */
struct ldap_search {
    atomic_uint holders;
    struct arena *arena;
    const char *spec;
    char **attributes; /* NULL-terminated: terminal ones, leaf, ordinary, special */
    size_t terminal, leaf, ordinary, special; /* how many of each */
    int scope;
    int64_t size_limit, recursion_limit, timeout;
    bool base_depends_on_key;
};
void ldap_search_release(struct ldap_search *search);

enum ldap_outcome { LDAP_OUTCOME_ANSWER, LDAP_OUTCOME_FAILED, LDAP_OUTCOME_LOST };

/* One lookup: what is asked, in copies of its own, and the values that came back. */
struct ldap_job {
    struct db_job db;
    struct ldap_search *search;
    const char *base, *filter, *key;
    int64_t deadline;
    size_t value_room; /* of db.values */
};

/* ldap_search.c: asks, follows special attributes, fills job->db.values; on a worker's thread. Complains about failures. */
enum ldap_outcome ldap_search_run(LDAP *handle, struct ldap_job *job);

/* ldap_connection.c */
extern const struct worker_kind ldap_worker;
/* The pool for this server; the texts of *server are copied. */
struct worker_pool *ldap_pool_open(const struct ldap_server *server);

#endif
