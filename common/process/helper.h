/* SPDX-License-Identifier: ISC */
/*
 * A process of a role's own, for work that blocks and cannot be put on a fiber. The role forks it in open(), before it
 * gives up its rights; the helper confines itself at once, with rights of its own, keeps nothing of the role's descriptors
 * but the log, and ends when the role does. It may have the right to fork further ones, each confined further.
 */
#ifndef POSTHORN_PROCESS_HELPER_H
#define POSTHORN_PROCESS_HELPER_H

#include "common/process/role.h"

struct role_helper {
    const char *name;                /* "auth-spawner": its process name, and in warnings */
    unsigned rights;                 /* enum role_rights */
    const char *const *directories;  /* absolute, NULL-terminated: what Landlock leaves readable */
    /* Runs first, with the caller's rights: loads libraries, reads configuration. May be NULL. */
    void (*prepare)(void *context);
    /* Runs confined; the process ends when it returns. socket: blocking SOCK_SEQPACKET to the role. */
    void (*run)(int socket, void *context);
    void *context;
};

/* Returns the role's end of the socket: non-blocking, close-on-exec. The helper belongs to the role's user and to the
 * supplementary groups of that user in the group file. */
int role_fork_helper(const struct role_helper *helper);

/* In a process that a helper forked: gives up what exceeds these rights, for good. */
void role_helper_confine_child(const char *name, unsigned rights);

/* What this process can do, for the role's `probe`: appends what probe_results_decode() reads. */
void role_helper_probe(const char *queue_directory, struct str *out);

#endif
