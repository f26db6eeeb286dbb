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

struct smtp_session;

/* A recipient that was accepted: the addresses it stands for (in the transaction's arena). */
struct smtp_expansion {
    char **addresses;
    size_t count;
};

struct smtp_server_policy {
    /* The client connected; a reply refuses it and everything but QUIT. */
    const char *(*on_connect)(struct smtp_session *session);
    const char *(*on_helo)(struct smtp_session *session, const char *name);
    /* address: internal form, "" for the null sender. */
    const char *(*on_mail)(struct smtp_session *session, const char *address);
    const char *(*on_rcpt)(struct smtp_session *session, const char *address, struct smtp_expansion *expansion);
    const char *(*on_data)(struct smtp_session *session);
    const char *(*on_end_of_data)(struct smtp_session *session);
    const char *(*on_vrfy)(struct smtp_session *session, const char *address);
    const char *(*on_etrn)(struct smtp_session *session, const char *domain);
    /* True for clients whose messages get a missing Date, From and Message-Id. */
    bool (*completes_headers)(struct smtp_session *session);
    /* The transaction ended, with or without a message: forget what was learnt about it. */
    void (*on_reset)(struct smtp_session *session);
    void (*on_disconnect)(struct smtp_session *session);

    /* TLS. Before the handshake: a reply refuses it ("454 4.7.0 ..."). In wrapper mode any refusal ends the connection. */
    const char *(*before_tls)(struct smtp_session *session);
    /* The handshake: sets session->tls. False: the connection is of no more use; logged. */
    bool (*start_tls)(struct smtp_session *session);
    /* It succeeded; a reply ends the session. *at_once: with this reply, not after the next command. */
    const char *(*after_tls)(struct smtp_session *session, bool *at_once);

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
