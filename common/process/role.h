/* SPDX-License-Identifier: ISC */
/*
 * What a daemon of Posthorn is: its name, its rights, and what it does at each step of its life.
 * Every daemon's main() is `return role_main(&the_role, argc, argv);`. The supervisor (master/) starts
 * it with numbered descriptors; nothing else can.
 *
 * Order at start, in one place (role.c): receive the configuration, open the log, role->open() with the
 * rights of the caller, chroot, drop uid and gid and verify it, rlimits, no_new_privs, Landlock, seccomp,
 * role->start(), tell the supervisor "ready", and only then the first untrusted byte.
 */
#ifndef POSTHORN_PROCESS_ROLE_H
#define POSTHORN_PROCESS_ROLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"
#include "common/process/ipc.h"

/* Every kind of process there is, or will be. Stable numbers: they travel in records. */
enum role_id {
    ROLE_MASTER = 0,
    ROLE_SMTPD = 1,
    ROLE_SUBMISSION = 2,
    ROLE_QUEUE = 3,
    ROLE_LMTP = 4,
    ROLE_SMTP = 5,
    ROLE_VIRTUAL = 6,
    ROLE_LOOKUP = 7,
    ROLE_RESOLVER = 8,
    ROLE_KEYS = 9,
    ROLE_AUTH = 10,
    ROLE_STATE = 11,
    ROLE_COUNT
};
const char *role_name(enum role_id id);
/* The name in log lines: a submission process is "smtpd" there, as readers of Postfix's log expect. */
const char *role_log_name(enum role_id id);

struct probe_result; /* master_protocol.h */

/* Rights beyond computing, talking on inherited descriptors, and logging. */
enum role_rights {
    RIGHT_ACCEPT = 1 << 0,      /* accept(2) on inherited listening sockets */
    RIGHT_CONNECT_UNIX = 1 << 1,
    RIGHT_CONNECT_INET = 1 << 2,
    RIGHT_READ_FILES = 1 << 3,  /* open for reading (lookup: tables; outside a chroot) */
    RIGHT_WRITE_FILES = 1 << 4, /* create, write, rename, unlink below `directories` */
    RIGHT_SET_IDS = 1 << 5,     /* keep CAP_SETUID/SETGID/CHOWN/DAC_OVERRIDE for per-recipient ids (virtual) */
    RIGHT_THREADS = 1 << 6,     /* clone(2) for threads: the spool's sync thread, libpq's resolver */
    RIGHT_PASS_FD = 1 << 7,
    RIGHT_FORK = 1 << 8,        /* fork, end and confine processes of its own (a helper: helper.h) */
};

struct role_start {
    const struct config *config;  /* with this service's overrides */
    const char *service;          /* the master.cf name: "smtp", "lmtp", "queue" */
    const int *listeners;         /* inherited listening sockets, non-blocking */
    const char *const *listener_names; /* what each was bound to: "inet:127.0.0.1:2525", "unix:public/showq" */
    size_t listener_count;
};

/* For a role that may open no files: the supervisor opens them, at start and whenever they change. */
struct role_files {
    void (*plan)(struct slice body);                        /* what the files are for, in the role's own terms */
    void (*file)(const char *path, int error, int fd);      /* one that is new or has changed; fd is the role's now */
    void (*end)(void);                                      /* all were sent, for now */
};

struct role {
    enum role_id id;
    unsigned rights;
    /* Directories (absolute paths, NULL-terminated, filled in by open()) that Landlock leaves usable with
     * RIGHT_READ_FILES or RIGHT_WRITE_FILES. */
    const char *const *(*directories)(const struct role_start *start);
    /* True: chroot into an empty directory (data_directory/empty). False: stay, Landlock only. */
    bool wants_empty_root;
    size_t max_open_files; /* RLIMIT_NOFILE; 0: what the supervisor has */

    void (*open)(const struct role_start *start);  /* still privileged; may be NULL */
    void (*start)(const struct role_start *start); /* confined, on a fiber: may call peers and wait */
    /* The edge to speak over with a peer of this kind (NULL: refuse the peer). */
    const struct ipc_edge *(*edge)(enum role_id peer);
    /* A channel to a peer was opened. Clients of a role (smtpd of queue) come in any number, but not
     * before start() returned; a channel on which this role is the client may come earlier. May be NULL. */
    void (*peer_opened)(enum role_id peer, const char *service, struct ipc_channel *channel);
    /* A new configuration to go on with. NULL: the supervisor starts a fresh process with it and drains this one. */
    void (*reload)(const struct config *config);
    /* Take no new work; call role_finished() when the work in hand is done. Called on a fiber, after a reload
     * only when all clients have moved to the successor. NULL: finished at once. */
    void (*drain)(void);
    /* Adds what helper processes of this role can do to what the role itself can ("posthorn probe"). On a fiber, may wait.
     * Returns their number; memory from the arena. May be NULL. */
    size_t (*probe)(struct arena *arena, struct probe_result **results);
    const struct role_files *files; /* NULL: it gets none */
    /* Answers MASTER_EXPLAIN, on a fiber of its own; false: malformed. NULL: not asked. */
    bool (*explain)(struct slice request, struct str *answer);
};

int role_main(const struct role *role, int argc, char **argv);

/* The configuration now in force. */
const struct config *role_config(void);
const char *role_service(void);

/*
 * The channel to a peer that this role is a client of, or NULL while it is down. Callers must not keep
 * the pointer across a wait. service NULL: any.
 */
struct ipc_channel *role_peer(enum role_id peer, const char *service);
/* Waits until such a channel is there. NULL after the deadline or a cancellation. */
struct ipc_channel *role_wait_peer(enum role_id peer, const char *service, int64_t deadline);

/*
 * ipc_call() to a peer: waits for it, and asks once more when it was restarted in between. Only for questions
 * that may be asked twice; others (SUBMIT, DELIVER) take role_wait_peer() and ipc_call().
 */
enum ipc_status role_call(enum role_id peer, const char *service, uint16_t type, struct slice body,
                          struct str *reply, int *reply_fd, int64_t deadline) MUST_CHECK;

void role_finished(void); /* ends the process cleanly */
bool role_is_draining(void);
bool role_is_stopping(void); /* drain because the whole server stops: idle clients need not be waited for */

#endif
