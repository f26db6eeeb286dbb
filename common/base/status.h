/* SPDX-License-Identifier: ISC */
/*
 * Typed results. Posthorn knows four kinds of failure (docs/architecture.md, "Errors"):
 * the client's fault becomes a reply; a passing fault becomes a 4xx and a log line; a fault of
 * the environment is logged and ends the process (log_fatal); our own bug aborts (log_panic).
 * Functions that can fail return one of these enums and are marked MUST_CHECK.
 */
#ifndef POSTHORN_BASE_STATUS_H
#define POSTHORN_BASE_STATUS_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

/* The outcome of a wait on a fiber. */
enum wait_status {
    WAIT_OK = 0,     /* what was waited for happened */
    WAIT_TIMEOUT,    /* the deadline passed */
    WAIT_CANCELLED,  /* somebody asked this fiber to end: clean up and return */
};

/* The outcome of reading or writing a byte stream. */
enum io_status {
    IO_OK = 0,
    IO_EOF,        /* the peer closed its side */
    IO_TIMEOUT,    /* the deadline passed */
    IO_CANCELLED,  /* this fiber was cancelled */
    IO_TOO_LONG,   /* a line exceeded the bound; nothing was consumed */
    IO_ERROR,      /* errno tells */
};

#endif
