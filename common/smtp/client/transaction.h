/* SPDX-License-Identifier: ISC */
/*
 * One mail transaction over a session: MAIL, RCPT..., DATA in one write when the server pipelines, the
 * content with its final dot in as few writes as its size allows, and every recipient's result.
 */
#ifndef POSTHORN_SMTP_CLIENT_TRANSACTION_H
#define POSTHORN_SMTP_CLIENT_TRANSACTION_H

#include "common/mail/delivery_content.h"
#include "common/mail/delivery_report.h"
#include "common/smtp/client/session.h"

enum smtp_transaction_end {
    SMTP_TRANSACTION_DONE = 0, /* every recipient has a result; session->broken says whether to keep it */
    SMTP_TRANSACTION_LOST,     /* the same, but the conversation broke off: the host is in trouble */
    SMTP_TRANSACTION_STALE,    /* a reused session was dead before it took anything; nothing is decided: try another */
    SMTP_TRANSACTION_CORRUPT,  /* the content does not match its hash; the final dot was not sent, nothing is decided */
};

/*
 * Sends report->delivery to its undecided recipients. report->relay, uses and times.setup are set here. why
 * (may be NULL): on SMTP_TRANSACTION_LOST, the reason.
 */
enum smtp_transaction_end smtp_transaction_run(struct smtp_client_session *session, struct delivery_content *content,
                                               struct delivery_report *report, const char **why) MUST_CHECK;

/* The two commands that need care; without CRLF. Pure. */
void smtp_command_mail(struct str *out, const struct delivery *delivery, bool wants_utf8,
                       const struct smtp_client_session *session);
void smtp_command_rcpt(struct str *out, const struct recipient *to, const struct smtp_client_session *session);

/* True when the envelope or the header needs SMTPUTF8 (RFC 6531). head: the beginning of the content. */
bool smtp_delivery_needs_utf8(const struct delivery *delivery, struct slice head);

#endif
