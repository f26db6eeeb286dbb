/* SPDX-License-Identifier: ISC */
/* Shared by the files of librole: role.c (life), role_start.c (birth), peers.c (channels), sandbox*.c. */
#ifndef POSTHORN_PROCESS_ROLE_INTERNAL_H
#define POSTHORN_PROCESS_ROLE_INTERNAL_H

#include "common/process/master_protocol.h"
#include "common/process/role.h"

/* Everything a role knows about itself. */
struct role_state {
    const struct role *role;
    struct role_start start;
    struct start_record record;
    struct arena *arena; /* of the record; lives as long as the process */
    struct ipc_channel *master;
    const struct config *config;
    bool started;  /* role->start() returned */
    bool draining;
    bool stopping; /* the whole server stops: do not wait for idle clients */
};
extern struct role_state role_state;

/* role_start.c: up to the point where the loop may run. Exits with a logged reason when it cannot. */
void role_receive_start(const struct role *role);
void role_confine(const struct role *role);
void role_set_log(enum log_sink sink, int fd);

/* peers.c */
void peers_add(const struct peer_record *record, int fd);
void peers_role_started(void); /* opens the channels of clients that came before it served */
bool peers_have_clients(void);
void peers_flush(void); /* the last act: sends what is left and closes */
void peers_wait_for_clients_to_leave(int64_t deadline);

/* sandbox.c and friends. Each logs one warning when the kernel lacks what it wants. */
struct sandbox {
    const char *name;  /* the role's, for warnings */
    unsigned rights;   /* enum role_rights */
    const char *const *directories; /* NULL-terminated; may be NULL */
};
void sandbox_limit(const struct sandbox *sandbox, size_t max_open_files);
void sandbox_keep_capabilities(uint64_t wanted); /* a mask of 1 << CAP_...; also the supervisor's */
/* While still root: what no later exec, and no bug, can bring back. */
void sandbox_bound_capabilities(const struct sandbox *sandbox);
void sandbox_drop_capabilities(const struct sandbox *sandbox);
void sandbox_landlock(const struct sandbox *sandbox);
void sandbox_seccomp(const struct sandbox *sandbox);
/* Tries what the role must not do and tells what happened. results: PROBE_COUNT entries. */
#define PROBE_COUNT 14
size_t sandbox_probe(struct arena *arena, const char *queue_directory, struct probe_result *results);

#endif
