/* SPDX-License-Identifier: ISC */
/*
 * Logging in Postfix's line format ("postfix/smtpd[123]: text"). Lines are collected and leave at the
 * end of a loop turn; a log that cannot take them (full pipe, dead syslogd) never blocks the server:
 * what does not fit is dropped and counted, and the count is logged when it works again.
 * Control bytes and what is not UTF-8 become '?'.
 */
#ifndef POSTHORN_BASE_LOG_H
#define POSTHORN_BASE_LOG_H

#include <stdbool.h>

#include "common/base/status.h"

enum log_sink {
    LOG_TO_STDERR, /* "program: text", for commands and tests; the state before log_open() */
    LOG_TO_FILE,   /* stamped lines to a descriptor: maillog_file or stdout */
    LOG_TO_SYSLOG, /* datagrams to a connected /dev/log socket */
};

struct log_options {
    enum log_sink sink;
    int fd;                  /* LOG_TO_FILE, LOG_TO_SYSLOG; owned by the log from now on */
    const char *syslog_name; /* "postfix"; copied */
    const char *component;   /* "smtpd"; copied */
    const char *host_name;   /* for LOG_TO_FILE; copied */
    int facility;            /* LOG_MAIL and so on, from <syslog.h> */
    bool verbose;
};

void log_open(const struct log_options *options);
/* Goes on with another descriptor (after a log rotation or a syslogd restart). */
void log_replace_fd(int fd);
/* Called when the sink's peer is gone and a new descriptor is wanted (the supervisor sends one). */
void log_on_lost(void (*ask_for_new_fd)(void));
void log_set_verbose(bool verbose);
bool log_is_verbose(void);
/* Shown every line before it is written ("warning: " or "", text); a line for which it returns true is not written. */
void log_set_filter(bool (*filter)(const char *label, const char *text));
/* Writes out what was collected; also called at exit. */
void log_flush(void);

void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2); /* only when verbose */
/* The environment is unusable: log and exit(1); the supervisor restarts. */
void log_fatal(const char *fmt, ...) PRINTF_LIKE(1, 2) NORETURN;
/* A bug: log and abort(). */
void log_panic(const char *fmt, ...) PRINTF_LIKE(1, 2) NORETURN;

/* As another component of the family: programs that read logs expect "postfix/cleanup[..]: ID: message-id=",
 * "postfix/qmgr[..]: ID: removed" and so on, whichever process of ours does that work. */
void log_info_as(const char *component, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_warning_as(const char *component, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Safe inside a signal handler: writes the two texts as one line to a file sink, nothing else. */
void log_emergency(const char *text, const char *more);

#endif
