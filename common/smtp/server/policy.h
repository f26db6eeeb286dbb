/* SPDX-License-Identifier: ISC */
/*
 * What a program adds to the SMTP protocol: who may do what, where recipients come from, where messages go.
 * The library (common/smtp/server) knows the dialogue; smtpd and submission are two policies over it.
 *
 * Every question is answered by NULL ("go on") or by the reply to give ("554 5.7.1 ..."), which lives until the
 * end of the command (arena: session->scratch). Callbacks run on the session's fiber and may wait.
 */
#ifndef POSTHORN_SMTP_SERVER_POLICY_H
#define POSTHORN_SMTP_SERVER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"
#include "common/mail/envelope.h"
#include "common/mail/queue_protocol.h"
#include "common/sasl/sasl_protocol.h"

struct smtp_session;
struct header_rules; /* header_edit.h */

/* What a client may not do too often (smtpd_client_*_rate_limit). */
enum smtp_event {
    SMTP_EVENT_MESSAGE,     /* MAIL */
    SMTP_EVENT_RECIPIENT,   /* RCPT, VRFY */
    SMTP_EVENT_AUTH,
    SMTP_EVENT_TLS,         /* a handshake that resumed no session, or failed; the 421 goes out when it succeeded */
    SMTP_EVENT_TLS_REQUEST, /* STARTTLS: counts nothing, asks whether there were too many handshakes */
    SMTP_EVENT_TLS_WRAPPER, /* the same before the handshake of a TLS-only port: hang up without a word */
};

enum smtp_name_status { SMTP_NAME_OK, SMTP_NAME_TEMPORARY, SMTP_NAME_NONE };
struct smtp_client_name {
    const char *name, *reverse_name; /* "unknown" unless OK */
    enum smtp_name_status name_status, reverse_status;
};

/* A recipient that was accepted: the addresses it stands for (in the transaction's arena). */
struct smtp_expansion {
    char **addresses;
    size_t count;
    const char *canonical;        /* what was expanded; NULL: the recipient as it is */
    struct recipient *copies;     /* automatic ones (recipient_bcc_maps) */
    size_t copy_count;
};

struct login_attempt; /* the policy's own */

struct smtp_server_policy {
    /* The client connected; a reply refuses it and everything but QUIT. */
    const char *(*on_connect)(struct smtp_session *session);
    /* XCLIENT changed who the client is: names NULL when they stay. on_connect follows. */
    void (*on_xclient)(struct smtp_session *session, const struct smtp_client_name *names);
    const char *(*on_helo)(struct smtp_session *session, const char *name);
    /* address: internal form, "" for the null sender. */
    const char *(*on_mail)(struct smtp_session *session, const char *address);
    const char *(*on_rcpt)(struct smtp_session *session, const char *address, struct smtp_expansion *expansion);
    const char *(*on_data)(struct smtp_session *session);
    /* The message's header section as the client sent it (lines end in LF), once, before it is edited and before
     * on_end_of_data. is_all: the text is the whole message; otherwise what came so far. May be NULL. */
    void (*on_headers)(struct smtp_session *session, struct slice text, bool is_all);
    const char *(*on_end_of_data)(struct smtp_session *session);
    const char *(*on_vrfy)(struct smtp_session *session, const char *address);
    const char *(*on_etrn)(struct smtp_session *session, const char *domain);
    /* One key of tables: false when there is nothing or it cannot be said (then *failed and logged). May be NULL. */
    bool (*find)(struct smtp_session *session, const char *maps, const char *parameter, const char *key, const char **value,
                 bool *failed);
    /* Counts one; the refusal has been logged. May be NULL: nothing is limited. Called through smtp_session_count(). */
    const char *(*on_event)(struct smtp_session *session, enum smtp_event event);
    /* True for clients whose messages get a missing Date, From and Message-Id. */
    bool (*completes_headers)(struct smtp_session *session);

    /* --- AUTH: called only with smtp_server.auth_enabled. Responses are as the client sent them, in base64. --- */
    /* What EHLO offers now: "PLAIN LOGIN"; NULL: nothing. */
    const char *(*auth_mechanisms)(struct smtp_session *session);
    /* The first response with something in it is about to be judged: NULL when it may be, after a wait; or the reply that
     * refuses it. login: whose it is, printable; "" when it does not say. *attempt is passed to auth_end. */
    const char *(*auth_attempt)(struct smtp_session *session, const char *mechanism, const char *login,
                                struct login_attempt **attempt);
    /* initial: NULL when the client sent no initial response. Fills the answer (texts in scratch), whatever happens. */
    void (*auth_start)(struct smtp_session *session, const char *mechanism, const struct slice *initial,
                       struct sasl_answer *answer);
    void (*auth_continue)(struct smtp_session *session, uint64_t exchange, struct slice response,
                          struct sasl_answer *answer);
    void (*auth_cancel)(struct smtp_session *session, uint64_t exchange);
    /* How it ended, before the client is told; SASL_UNAVAILABLE also when it was given up. attempt: NULL for none. */
    void (*auth_end)(struct smtp_session *session, enum sasl_status status, struct login_attempt *attempt);

    /* The authserv-id whose Authentication-Results this client forges; NULL (also as a member): none are removed. */
    const char *(*forged_results_id)(const struct smtp_session *session);
    /*
     * What cleanup(8) does to content; any of these may be NULL. begin_content: DATA or BDAT begins; sets session->checker
     * when content must be checked. check_content: an enum content_status; takes what it can judge off the text and appends what
     * shall be stored. end_checks: content is over, however. prepare_headers: the header section is complete and is about
     * to be edited; may set rules->rewrite. False: a table failed.
     */
    void (*begin_content)(struct smtp_session *session);
    int (*check_content)(struct smtp_session *session, struct slice text, bool is_all, size_t *taken, struct str *out);
    void (*end_checks)(struct smtp_session *session);
    bool (*prepare_headers)(struct smtp_session *session, struct slice text, struct header_rules *rules);
    /* Tells the postmaster what was said ("In:  QUIT\n" ...) and which faults there were (transcript.h). May be NULL. */
    void (*notify)(struct smtp_session *session, struct slice transcript, unsigned faults);
    /* The transaction ended, with or without a message: forget what was learnt about it. */
    void (*on_reset)(struct smtp_session *session);
    void (*on_disconnect)(struct smtp_session *session);

    /* TLS. Before the handshake: a reply refuses it ("454 4.7.0 ..."). In wrapper mode any refusal ends the connection. */
    const char *(*before_tls)(struct smtp_session *session);
    /* The handshake: sets session->tls. False: the connection is of no more use; logged. */
    bool (*start_tls)(struct smtp_session *session);
    /* It succeeded; a reply ends the session. *at_once: with this reply, not after the next command. */
    const char *(*after_tls)(struct smtp_session *session, bool *at_once);

    /*
     * A filter that takes mail before we do (smtp_server.is_filtered): these stand in for the queue. open: at MAIL or the first
     * accepted RCPT; sets session->filter. command: RCPT or DATA as the client said it; expected: the class of reply, '2' or
     * '3'. Both: NULL, or the reply to give (lines with '\n' between them). pass: text of the message, lines end in LF. finish:
     * the final dot. False: filter_reply() tells what the client gets. on_reset ends it.
     */
    const char *(*filter_open)(struct smtp_session *session);
    const char *(*filter_command)(struct smtp_session *session, struct slice command, char expected);
    bool (*filter_pass)(struct smtp_session *session, struct slice text);
    bool (*filter_finish)(struct smtp_session *session);
    const char *(*filter_reply)(const struct smtp_session *session); /* the last one */

    /* Names the message at its first recipient (session->queue_id and ->serial). False: 451. */
    bool (*begin_message)(struct smtp_session *session);
    /* A descriptor to write large content to; -1 when there is none. *status says why. */
    int (*open_spool)(struct smtp_session *session, enum submit_status *status);
    /* Makes the message durable. SUBMIT_OK is a promise. */
    enum submit_status (*submit)(struct smtp_session *session, struct submission *submission);
    /* The spool file of open_spool is not needed. */
    void (*abandon)(struct smtp_session *session);
};

#endif
