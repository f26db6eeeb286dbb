/* SPDX-License-Identifier: ISC */
/* The locks that keep a second supervisor away: pid/master.pid and data_directory/master.lock. */
#ifndef POSTHORN_PROCESS_LOCKFILE_H
#define POSTHORN_PROCESS_LOCKFILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/config/config.h"
#include "common/process/layout.h"

/* Takes both locks for the life of this process and writes its pid; log_fatal when another holds them. */
void lockfile_take(const struct config *config, const struct mail_ids *ids);
/* The pid that the lock's holder wrote, or 0 when nobody holds it. */
pid_t lockfile_holder(const struct config *config);
/* Whether some supervisor, ours or Postfix's, holds the lock of this queue directory. */
bool lockfile_is_held(const struct config *config);

#endif
