/* SPDX-License-Identifier: ISC */
/*
 * The client's end of one SMTP or LMTP connection: greeting, EHLO/LHLO, replies with deadlines, QUIT. The
 * connection itself is made elsewhere (the lookup role) and arrives as a descriptor. A server is a stranger:
 * every reply is bounded in size and time, and a session that is out of step is never used again.
 */
#ifndef POSTHORN_SMTP_CLIENT_SESSION_H
#define POSTHORN_SMTP_CLIENT_SESSION_H

#include "common/base/stream.h"
#include "common/smtp/client/capabilities.h"
#include "common/smtp/client/reply.h"

/* What main.cf says about a client; times in seconds. Filled once per process. */
struct smtp_client_settings {
    bool lmtp;              /* LHLO, and one reply per recipient after the final dot */
    const char *hello_name; /* lmtp_lhlo_name, smtp_helo_name */
    int64_t hello_timeout;  /* greeting and EHLO/LHLO each */
    int64_t mail_timeout, rcpt_timeout, rset_timeout, quit_timeout;
    int64_t data_init_timeout; /* the reply to DATA */
    int64_t data_xfer_timeout; /* each write of content */
    int64_t data_done_timeout; /* each reply after the final dot */
    size_t line_limit;         /* lmtp_line_length_limit */
    unsigned ignored;          /* enum smtp_capability: taken as not offered */
    bool skip_5xx_greeting;    /* a 5xx greeting defers */
    bool skip_quit_response;
    bool quote_envelope;       /* lmtp_quote_rfc821_envelope */
    bool probes_data;          /* lmtp_address_verify_target = data */
};

struct smtp_client_session {
    struct stream stream;
    const struct smtp_client_settings *settings;
    char *host;         /* "mail.example"; of a UNIX-domain socket our own name */
    char *name_address; /* "mail.example[192.0.2.1]" */
    char *relay;        /* the same with ":port" when it has one */
    struct smtp_capabilities can;
    struct smtp_reply reply; /* the last one */
    unsigned uses;           /* transactions begun */
    bool needs_reset;        /* a transaction was left open: RSET before the next MAIL */
    bool broken;             /* out of step or dying: close it */
};

/* What went wrong, ready for delivery_report_rest(). Lives in the arena it was made with. */
struct smtp_failure {
    const char *dsn;
    const char *reason;
    const char *remote_host; /* NULL: not the server's own words */
    const char *diagnostic;
    const char *relay;       /* NULL: there was no connection */
};

enum smtp_read_status {
    SMTP_READ_OK = 0,
    SMTP_READ_LOST,      /* the connection is gone */
    SMTP_READ_TIMEOUT,
    SMTP_READ_GARBLED,   /* not a reply, or a reply without end */
    SMTP_READ_CANCELLED, /* this fiber was cancelled */
};

/* Takes the connected descriptor (non-blocking). host and address are copied; port 0: none. */
struct smtp_client_session *smtp_client_session_new(const struct smtp_client_settings *settings, int fd, const char *host,
                                                    const char *address, unsigned port);
/* Closes without another word. NULL is allowed. */
void smtp_client_session_free(struct smtp_client_session *session);

/* Reads the greeting, says EHLO or LHLO, learns what the server can. False: *failure tells, and the
 * session is of no use. */
bool smtp_client_session_greet(struct smtp_client_session *session, struct arena *arena, struct smtp_failure *failure)
    MUST_CHECK;

/* Says QUIT, waits for the answer unless told not to, frees. May wait: run it on a fiber of its own. */
void smtp_client_session_quit(struct smtp_client_session *session);

/* The next reply, into session->reply. */
enum smtp_read_status smtp_client_session_read_reply(struct smtp_client_session *session, int64_t deadline) MUST_CHECK;

/* True when bytes are there that nobody asked for, or the server hung up: it must not be used. Costs a
 * system call when thorough; otherwise looks only at what was read already. */
bool smtp_client_session_has_stray_input(struct smtp_client_session *session, bool thorough);

/* The words for a failed read or write while doing something ("sending RCPT TO"). */
void smtp_failure_of_read(const struct smtp_client_session *session, enum smtp_read_status status, const char *activity,
                          struct arena *arena, struct smtp_failure *failure);
/* The words for a reply that was not what was asked for; command: "RCPT TO command". A reply of a class that
 * makes no sense there (a 2xx to DATA) is a protocol error: deferred, never taken as success. */
void smtp_failure_of_reply(const struct smtp_client_session *session, const char *command, struct arena *arena,
                           struct smtp_failure *failure);
enum smtp_read_status smtp_read_status_of_io(enum io_status status);

#endif
