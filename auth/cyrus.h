/* SPDX-License-Identifier: ISC */
/*
 * Between auth, the process that starts workers (the spawner), and the workers that Cyrus SASL runs in: packets on
 * SOCK_SEQPACKET pairs, fields as in ipc_codec.h. Only auth asks; spawner and workers answer one question at a time.
 */
#ifndef POSTHORN_AUTH_CYRUS_H
#define POSTHORN_AUTH_CYRUS_H

#include "common/config/config.h"
#include "common/sasl/sasl_protocol.h"

enum spawner_question {
    SPAWNER_START = 1,  /* {} -> {i64 pid} + the worker's socket; pid -1: it could not be started */
    SPAWNER_KILL = 2,   /* {i64 pid}: no answer */
    SPAWNER_CHANGED = 3, /* {} -> {i64 1 when the configuration file changed since the spawner read it} */
};

enum worker_question {
    WORKER_LIST = 1,  /* {struct sasl_client} */
    WORKER_START = 2, /* {u64 exchange, struct sasl_client, text mechanism, bool is_initial, bytes} */
    WORKER_STEP = 3,  /* {u64 exchange, bytes response} */
    WORKER_PROBE = 5, /* {}: what a worker can do */
    WORKER_DROP = 4,  /* {u64 exchange}: no answer */
};

enum worker_answer {
    WORKER_LOG = 1,    /* {bool is_problem, text}: a line for the log; more follows */
    WORKER_ANSWER = 2, /* {struct sasl_answer} */
    WORKER_PROBED = 3, /* {probe results} */
};

#define WORKER_EXCHANGES 32 /* in one worker, at most */
#define WORKER_PACKET (SASL_QUESTION_LIMIT + 64)

/* What a spawner is started with; lives in both processes. */
struct cyrus_setup {
    const char *application;  /* smtpd_sasl_path: the name of the configuration file, without ".conf" */
    char *search_path;        /* where it is looked for */
    char *file;               /* the one that was found; NULL: none */
    const char *queue_directory;
    char *saslauthd_path;     /* what that file says; NULL: nothing */
    unsigned rights;          /* of workers: enum role_rights */
    const char **directories; /* NULL-terminated */
    size_t directory_count;
};

/* Finds and reads the configuration file, and what a worker needs because of it (cyrus_setup.c). */
struct cyrus_setup *cyrus_setup_make(const char *application, const char *config_path, const struct config *config);
/* The value of an option in such a file ("name: value" lines); data NULL: not there. Pure. */
struct slice cyrus_config_find(struct slice file, const char *name);

/* Loads the library and its plugins, with the caller's rights (cyrus_worker.c); a failure is remembered and told in every answer. */
void cyrus_library_start(const struct cyrus_setup *setup);
/* The process that forks workers: until its socket closes. */
void cyrus_spawner_run(int socket, void *setup);
/* A worker: until its socket closes. */
void cyrus_worker_run(int socket);

#endif
