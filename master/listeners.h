/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets. They belong to the supervisor and outlive every process that accepts on them: one that two
 * configurations share is never closed in between, so no connection is refused.
 */
#ifndef POSTHORN_MASTER_LISTENERS_H
#define POSTHORN_MASTER_LISTENERS_H

#include "common/config/config.h"

struct listener_set {
    char **names; /* "inet:127.0.0.1:25", "unix:public/showq" */
    int *fds;     /* owned by the table of listeners, not by the set */
    size_t count;
};

/* All sockets of an inet service. False, with a fatal problem added, when one cannot be had. */
bool listeners_open_inet(const struct config *config, const char *endpoint, struct listener_set *set,
                         struct config_problems *problems) MUST_CHECK;
/* A socket below queue_directory (the working directory), mode 0666. type: SOCK_STREAM or SOCK_SEQPACKET. */
bool listeners_open_unix(const char *path, int type, struct listener_set *set,
                         struct config_problems *problems) MUST_CHECK;
void listener_set_free(struct listener_set *set);

/* Around a reload: what was not opened between begin and end is closed at commit; abort closes what is new. */
void listeners_begin(void);
void listeners_commit(void);
void listeners_abort(void);

#endif
