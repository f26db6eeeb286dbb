/* SPDX-License-Identifier: ISC */
/*
 * The content of one message on its way in: headers are edited as soon as they are complete, the rest is
 * collected in memory up to INLINE_CONTENT_LIMIT and beyond that written to the spool in large pieces.
 */
#ifndef POSTHORN_SMTP_SERVER_CONTENT_H
#define POSTHORN_SMTP_SERVER_CONTENT_H

#include "common/smtp/server/data_reader.h"
#include "common/smtp/server/session.h"

enum content_status {
    CONTENT_OK = 0,
    CONTENT_TOO_LARGE,   /* message_size_limit */
    CONTENT_TOO_MANY_HOPS,
    CONTENT_NO_SPACE,
    CONTENT_ERROR,       /* the queue or its file, or a table, failed */
    CONTENT_REFUSED,     /* a content check; content->refusal is the reply */
    CONTENT_FILTERED,    /* the filter refused it, or is out of order: filter_reply() */
};

struct content {
    struct data_reader reader;
    struct str text;      /* what came and is not written yet */
    uint64_t size;        /* bytes of text so far, headers as received */
    uint64_t wire_bytes;  /* BDAT: what the chunks held */
    enum content_status status;
    const char *refusal;  /* CONTENT_REFUSED; lives as long as the transaction */
    bool is_passing;      /* some of it went to the filter */
    unsigned dropped_hops;/* Received headers that content checks took out: they count all the same */
};

/* Makes session->content, and tells the policy that content begins. */
void content_begin(struct smtp_session *session, bool is_chunk);
/* Ends session->content, whatever became of it; NULL is allowed. */
void content_drop(struct smtp_session *session);
/* Feeds bytes; *taken of them were used. True at the end of DATA. Errors are remembered, input goes on. */
bool content_feed(struct smtp_session *session, struct slice window, size_t *taken);
/* The reply for a status; NULL for CONTENT_OK. */
const char *smtp_content_refusal(enum content_status status);
/* The refusal of content without a recipient. */
const char *smtp_content_unwanted(struct smtp_session *session);
/* Shows the headers to the policy, if that was not done before. */
void content_show_headers(struct smtp_session *session);
/* All content was taken: end-of-data policy, then content_submit. NULL or the reply to refuse with. */
const char *smtp_content_finish(struct smtp_session *session);
/* It is stored: the 250, and the client's errors are forgotten. */
void smtp_content_accepted(struct smtp_session *session, const char *how);
/* True when it is known already that the message will be refused. */
bool smtp_content_has_failed(const struct smtp_session *session);
/* --- a message that goes to a filter (session->filter) and not to the queue: filtered_content.c --- */
/* Passes on what came so far. Failure is remembered in content->status. */
void content_pass_to_filter(struct smtp_session *session);
/* The rest and the end. NULL or the reply to refuse with. Logged. */
const char *content_finish_filtered(struct smtp_session *session);
/* "proxy-accept: END-OF-MESSAGE: ...": what the filter said last. */
void content_log_filter(struct smtp_session *session, bool is_accepted);
/* What the filter said last, for the log. Scratch memory. */
const char *content_filter_reply_line(struct smtp_session *session);
/* Our Received header behind what a restriction prepended. */
void content_put_received(struct smtp_session *session, struct str *head);

/* The message is complete: edits headers, submits. The reply is the caller's. */
enum content_status content_submit(struct smtp_session *session);

#endif
