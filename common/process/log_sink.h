/* SPDX-License-Identifier: ISC */
/*
 * Where a configuration wants log lines: maillog_file (a file or /dev/stdout), otherwise syslog.
 * Used by the supervisor, which opens the log for every role, and by the commands.
 */
#ifndef POSTHORN_PROCESS_LOG_SINK_H
#define POSTHORN_PROCESS_LOG_SINK_H

#include "common/base/log.h"
#include "common/config/config.h"

/* syslog_facility as <syslog.h> wants it; log_fatal for an unknown name, as Postfix. */
int log_sink_facility(const struct config *config);
bool log_sink_knows_facility(const struct config *config); /* otherwise the above ends the program */
/* Whether maillog_file is set, so that lines go to a file. */
enum log_sink log_sink_kind(const struct config *config);
/*
 * Opens the log: a non-blocking, close-on-exec descriptor that the caller owns, or -1 with *problem
 * (allocated; the caller frees it) saying why. maillog_file must begin with one of maillog_file_prefixes.
 */
int log_sink_open(const struct config *config, char **problem) MUST_CHECK;
/* log_open() with everything that the configuration says. fd may be -1: lines wait for log_replace_fd(). */
void log_sink_start(const struct config *config, const char *component, enum log_sink sink, int fd, bool verbose);

#endif
