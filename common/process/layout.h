/* SPDX-License-Identifier: ISC */
/*
 * The directories of a running system: who owns them and with which mode, as Postfix lays them out. Used by
 * the supervisor at start and by "postfix check" and "postfix set-permissions".
 */
#ifndef POSTHORN_PROCESS_LAYOUT_H
#define POSTHORN_PROCESS_LAYOUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/config/config.h"

/* Users and groups that the configuration names. */
struct mail_ids {
    bool is_root;    /* the caller is root: ids can be changed; otherwise all are the caller's own */
    uid_t uid;       /* mail_owner */
    gid_t gid;       /* its group */
    gid_t setgid;    /* setgid_group */
};

/* Looks the names up. False, with a fatal problem added, when one is missing or unusable. */
bool mail_ids_load(const struct config *config, struct mail_ids *ids, struct config_problems *problems) MUST_CHECK;
/* A role's own user: the value of PARAMETER when set, otherwise mail_owner. */
bool mail_ids_of_role(const struct config *config, const char *parameter, const struct mail_ids *owner,
                      uid_t *uid, gid_t *gid, struct config_problems *problems) MUST_CHECK;

/*
 * Creates what is missing; with `repair` also corrects owner and mode of what is there, otherwise differences
 * are problems that are not fatal. False when a directory that the system needs cannot be had.
 */
bool layout_prepare(const struct config *config, const struct mail_ids *ids, bool repair,
                    struct config_problems *problems) MUST_CHECK;

/* DATA_DIRECTORY/state: the one directory of the state role. The caller frees it. */
char *layout_state_directory(const struct config *config);
/* DATA_DIRECTORY/empty: the root directory of roles that see no file. The caller frees it. */
char *layout_empty_root(const struct config *config);

/*
 * Where Posthorn's daemons and commands are: daemon_directory and command_directory, unless Postfix's own programs, or
 * none, are there; then where this build was installed. The caller frees them.
 */
char *layout_daemon_directory(const struct config *config);
char *layout_command_directory(const struct config *config);

#endif
