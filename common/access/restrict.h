/* SPDX-License-Identifier: ISC */
/*
 * Access restrictions, as SMTPD_ACCESS describes them: one function a restriction, one evaluator for all
 * lists. A list says DUNNO (go on), PERMIT (this list is done) or REJECT (with the reply to give).
 */
#ifndef POSTHORN_ACCESS_RESTRICT_H
#define POSTHORN_ACCESS_RESTRICT_H

#include "common/access/access.h"
#include "common/smtp/server/transcript.h"

enum verdict { VERDICT_DUNNO = 0, VERDICT_PERMIT, VERDICT_REJECT };

/* One command's way through the lists. */
struct evaluation {
    struct smtp_session *session;
    enum restrict_stage stage;
    enum restrict_stage subject; /* what a refusal is about: the stage's own, inside a table's entry the table's */
    const char *where;     /* the command, for the log: "RCPT" */
    const char *sender;    /* internal form; NULL before MAIL */
    const char *recipient; /* internal form; NULL when none or several */
    const char *etrn_domain;
    char *reply;           /* of the REJECT */
    enum smtp_fault fault; /* what the next refusal is for; 0: policy */
    bool warn_only;        /* warn_if_reject stands before this restriction */
    bool is_broken;        /* the reject is our configuration's fault: never only a warning */
    unsigned depth;        /* nested lists */
    unsigned policy_depth; /* default actions of policy services inside one another */
    char *defer_if_permit; /* replies that wait for the outcome; NULL: none */
    char *defer_if_reject;
    bool recipient_checked, sender_checked; /* a list asked reject_unlisted_* itself */
    struct access_memory *access_memory; /* access_memory.c: what tables said of the recipient */
    struct address_answer *recipient_answer, *sender_answer; /* asked of lookup once */
    /* The words of the list being read; a restriction with arguments moves `at`. */
    const struct restrict_list *list;
    size_t at;
};

typedef enum verdict restrict_run(struct evaluation *evaluation, const char *name);

struct restriction {
    const char *name;
    restrict_run *run;
    bool takes_argument;
};

/* By name, without case; NULL when there is none. */
const struct restriction *restrict_find(const char *name);
/* The restriction that a list's word names; NULL: it names none. */
const struct restriction *restrict_at(const struct restrict_list *list, size_t at);

/* Runs one stage's list. On VERDICT_REJECT evaluation->reply is set. */
enum verdict restrict_evaluate(struct evaluation *evaluation, enum restrict_stage stage);
/* Words found in a table. */
enum verdict restrict_evaluate_words(struct evaluation *evaluation, const struct restrict_list *list);
/* The argument behind the present word, or NULL. */
const char *restrict_argument(struct evaluation *evaluation);

/* Builds the reply, logs it, and returns VERDICT_REJECT (or DUNNO under warn_if_reject). dsn is
 * "5.7.1"; its class follows the code. */
enum verdict restrict_reject(struct evaluation *evaluation, int64_t code, const char *dsn, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* What stands behind a final word is never read: an admin wants to know. */
void restrict_warn_ignored(struct evaluation *evaluation, const char *name);
/* "451 4.3.5 Server configuration error", whatever warn_if_reject says. */
enum verdict restrict_broken(struct evaluation *evaluation);
/* "NOQUEUE: hold: RCPT from ...: text; from=<> ..." */
void restrict_log(struct evaluation *evaluation, const char *action, const char *text);
/* smtpd_log_access_permit_actions. table: where the permission came from, or NULL. */
void restrict_log_permit(struct evaluation *evaluation, const char *action, enum restrict_stage subject, const char *table);
/* What a restriction that permits is about. */
enum restrict_stage restrict_permit_subject(const char *name);
/* Remembers a deferral for when everything else permits (rejects). */
void restrict_defer_if(struct evaluation *evaluation, char **slot, int64_t code, const char *dsn, const char *text);
/* As restrict_reject(), "<whom>: Sender address rejected: what" about evaluation->subject. */
enum verdict restrict_reject_subject(struct evaluation *evaluation, int64_t code, const char *dsn, const char *what);
/* "451 4.3.0 <address>: Temporary lookup failure". */
enum verdict restrict_lookup_failed(struct evaluation *evaluation, const char *address);

/* "Sender address", and the name in angle brackets that stands before it, for the stage or subject. */
const char *restrict_class(enum restrict_stage stage);
const char *restrict_subject(struct evaluation *evaluation, enum restrict_stage stage);

/* What lookup knows of the recipient or sender; NULL after a rejection for lack of an answer. */
struct address_answer *restrict_recipient_answer(struct evaluation *evaluation);
struct address_answer *restrict_sender_answer(struct evaluation *evaluation);

/* restrict_access.c: the table behind the present word, or NULL and a warning. */
const char *restrict_table_argument(struct evaluation *evaluation, const char *name);
/* What a table says of a key. */
enum verdict restrict_access_lookup(struct evaluation *evaluation, const char *table, enum restrict_stage subject);
/* One key: true when the table decides about it; then *verdict is its word. */
bool restrict_access_try(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key,
                         enum restrict_stage subject, enum verdict *verdict);
/* The key as it was looked up, for warnings: addresses complete and in lower case. */
const char *restrict_access_key(struct evaluation *evaluation, const char *key, enum restrict_stage subject);
/* restrict_action.c: carries out one value of an access table. */
enum verdict restrict_access_action(struct evaluation *evaluation, const char *table, const char *value,
                                    const char *key, enum restrict_stage subject);

restrict_run restrict_permit, restrict_refuse, restrict_defer, restrict_defer_if_permit, restrict_defer_if_reject,
    restrict_warn_if_reject, restrict_sleep, restrict_permit_mynetworks, restrict_permit_inet_interfaces,
    restrict_permit_auth_destination, restrict_reject_unauth_destination, restrict_defer_unauth_destination,
    restrict_check_relay_domains, restrict_non_fqdn_helo, restrict_non_fqdn_sender, restrict_non_fqdn_recipient,
    restrict_invalid_helo, restrict_unlisted_recipient, restrict_unlisted_sender, restrict_unauth_pipelining,
    restrict_multi_recipient_bounce, restrict_plaintext_session, restrict_check_client_access,
    restrict_check_helo_access, restrict_check_sender_access, restrict_check_recipient_access,
    restrict_check_etrn_access, restrict_check_sasl_access, restrict_permit_sasl_authenticated;
/* Those about TLS: restrict_tls.c. */
restrict_run restrict_permit_tls_clientcerts, restrict_check_ccert_access;
restrict_run restrict_policy_service; /* a policy service */
restrict_run restrict_unverified_sender, restrict_unverified_recipient; /* address verification */
/* Those that ask who owns the sender address: restrict_owner.c. */
restrict_run restrict_sender_mismatch, restrict_authenticated_mismatch, restrict_unauthenticated_mismatch,
    restrict_known_mismatch;
/* Those that ask DNS. */
restrict_run restrict_unknown_client, restrict_unknown_reverse_client, restrict_unknown_helo, restrict_unknown_sender_domain,
    restrict_unknown_recipient_domain, restrict_rbl_client, restrict_rhsbl_client, restrict_rhsbl_reverse_client,
    restrict_rhsbl_helo, restrict_rhsbl_sender, restrict_rhsbl_recipient, restrict_dnswl_client, restrict_rhswl_client,
    restrict_client_servers, restrict_reverse_client_servers, restrict_helo_servers, restrict_sender_servers,
    restrict_recipient_servers, restrict_reverse_client_access, restrict_permit_mx_backup, restrict_maps_rbl,
    restrict_naked_address;

#endif
