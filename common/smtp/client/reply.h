/* SPDX-License-Identifier: ISC */
/* A server's reply, RFC 5321 section 4.2, put together line by line. Pure; fuzzed. */
#ifndef POSTHORN_SMTP_CLIENT_REPLY_H
#define POSTHORN_SMTP_CLIENT_REPLY_H

#include "common/base/arena.h"
#include "common/base/str.h"

#define SMTP_REPLY_LINE_MAX 4096 /* octets of one line, without its end */
#define SMTP_REPLY_LINES_MAX 500 /* lines of one reply */
#define SMTP_REPLY_TEXT_MAX 2048 /* text kept of one reply (Postfix: line_length_limit); more is dropped */

enum smtp_reply_status {
    SMTP_REPLY_DONE = 0,
    SMTP_REPLY_MORE,      /* a continuation line: feed the next */
    SMTP_REPLY_MALFORMED, /* no three digits, a class that is none, or another code than the line before */
    SMTP_REPLY_TOO_LONG,  /* more lines than anybody needs */
};

struct smtp_reply {
    int code;        /* 200 to 599; 0 before the first line */
    char dsn[12];    /* enhanced status (RFC 2034) of the last line, or "X.0.0" of the code's class */
    struct str text; /* all lines with their codes, '\n' between them, unprintable bytes as '?' */
    unsigned lines;
};

/* Makes it ready for the next reply; keeps the buffer. A zeroed struct is ready. */
void smtp_reply_reset(struct smtp_reply *reply);
void smtp_reply_free(struct smtp_reply *reply);

/* One line without its CRLF. After anything but SMTP_REPLY_MORE the reply takes no more lines. */
enum smtp_reply_status smtp_reply_add_line(struct smtp_reply *reply, struct slice line) MUST_CHECK;

static inline int smtp_reply_class(const struct smtp_reply *reply) { return reply->code / 100; }

/* The text as one line, as log lines and bounces show it. */
char *smtp_reply_one_line(const struct smtp_reply *reply, struct arena *arena);

/* Reads a status code "5.1.1" at the start of text, followed by its end or a blank. Returns its length
 * or 0 (RFC 3463: class, subject and detail of 1 to 3 digits). */
size_t smtp_dsn_length(struct slice text);

#endif
