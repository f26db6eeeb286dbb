/* SPDX-License-Identifier: ISC */
/*
 * What cleanup(8) does in Postfix, inside the program that takes a message in: content checks, address rewriting, automatic
 * copies. Settings come from the cleanup service that cleanup_service_name names. Tables are asked of lookup, many lines or
 * addresses at once; a message that needs none of it pays nothing.
 */
#ifndef POSTHORN_SERVICE_CLEANUP_H
#define POSTHORN_SERVICE_CLEANUP_H

#include "common/access/access.h"
#include "common/cleanup/check_action.h"
#include "common/cleanup/mime_state.h"
#include "common/mail/address_rewrite.h"
#include "common/mail/cleanup_protocol.h"
#include "common/mail/header_edit.h"
#include "common/smtp/server/content.h"

/* Which table a line is shown to. */
enum check_kind { CHECK_HEADER, CHECK_MIME_HEADER, CHECK_NESTED_HEADER, CHECK_BODY, CHECK_KINDS };

struct cleanup_settings {
    const char *profile;  /* for lookup: a cleanup service with overrides, or "" */
    /* receive_override_options */
    bool skips_checks, skips_maps;
    /* content checks */
    bool checks_content;  /* any of what follows */
    struct check_group checks[CHECK_KINDS]; /* maps "": none */
    uint64_t body_limit;  /* body_checks_size_limit; 0: none */
    struct mime_rules mime;
    /* rewriting */
    struct rewrite_rules local, remote;
    bool rewrites_remote; /* remote_header_rewrite_domain */
    unsigned mapped_roles;/* enum address_role: canonical tables or masquerading change addresses there */
    size_t token_limit;
    /* copies */
    bool copies_senders, copies_always;
    const char *content_filter;
    struct restrict_list local_clients; /* local_header_rewrite_clients */
};
extern struct cleanup_settings cleanup;

/* With the rights of the caller (role->open); the configuration must outlive the process. */
void cleanup_configure(const struct config *config);

/* Is this client's mail ours, so that its headers are completed and rewritten (local_header_rewrite_clients)? */
bool cleanup_is_local_client(struct smtp_session *session);
bool cleanup_completes_headers(struct smtp_session *session);

/* --- content_checks.c, content_actions.c: session->checker ------------------------------------------------------ */

struct content_checker {
    struct mime_state mime;
    struct arena *arena;   /* the transaction's */
    bool is_over;          /* PASS, DISCARD, REDIRECT: no more checks for this message */
    unsigned mime_errors;
    char *filter, *redirect;
    char **copies;
    size_t copy_count;
    char *reply;           /* refused: the reply to give */
};

void cleanup_begin_content(struct smtp_session *session);
int cleanup_check_content(struct smtp_session *session, struct slice text, bool is_all, size_t *taken, struct str *out);
void cleanup_end_checks(struct smtp_session *session);

/* A header and its line end. Lines behind the first get white space in front, should a table's text lack it. */
void cleanup_append_header(struct slice text, struct str *out);
/* What became of a line. */
enum check_result { CHECK_KEEP, CHECK_DROP, CHECK_REFUSE };
/* Carries out what a table said of a line; what replaces it is left in *replacement (text NULL: nothing does). */
enum check_result cleanup_act(struct smtp_session *session, enum check_kind kind, struct slice line, const char *value,
                              struct str *out, struct slice *replacement);
/* "ID: reject: header Subject: ... from h[ip]; from=<> to=<> proto= helo=<>: text" */
void cleanup_log(struct smtp_session *session, const char *action, const char *where, struct slice line, struct slice text);
void cleanup_log_mime_error(struct smtp_session *session, const struct mime_item *item);

/* --- content_addresses.c ------------------------------------------------------------------------------------------ */

bool cleanup_prepare_headers(struct smtp_session *session, struct slice text, struct header_rules *rules);
/* The envelope sender's final form; false: a table failed. Asked at most once a message. */
bool cleanup_rewrite_sender(struct smtp_session *session) MUST_CHECK;
/* All recipients of the message, automatic copies included. False: a table failed. */
bool cleanup_add_copies(struct smtp_session *session, struct envelope *envelope) MUST_CHECK;

#endif
