/* SPDX-License-Identifier: ISC */
/* The lines that a server adds to a message: Received, Date, Message-Id. Pure but for the time zone. */
#ifndef POSTHORN_MAIL_RECEIVED_H
#define POSTHORN_MAIL_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

#define MAIL_DATE_SIZE 64

/* RFC 5322 date with the zone's name in parentheses: "Sat, 21 Nov 2026 22:43:12 +0000 (UTC)". */
const char *mail_date(int64_t wall_seconds, char date[MAIL_DATE_SIZE]);

struct received_line {
    const char *helo_name;      /* NULL: the client said none, its name is shown */
    const char *client_name;
    const char *client_address; /* without brackets; IPv6 gets its "IPv6:" here */
    const char *my_hostname;
    const char *mail_name;
    const char *protocol;       /* "ESMTP" */
    const char *queue_id;
    const char *only_recipient; /* external form; NULL: none or several, nobody is named */
    int64_t wall_seconds;
    bool hide_client;           /* smtpd_hide_client_session */
    const char *encryption;     /* "(using TLSv1.3 with ...)\n\t(...)"; NULL: in the clear, or nobody's business */
    const char *login;          /* NULL: nobody logged in, or it is nobody's business */
};

/* Appends the header with its line end (LF). */
void received_append(const struct received_line *line, struct str *out);

/* Appends "<20261121224312.1E7C3A72333@host>". */
void message_id_append(int64_t wall_seconds, const char *queue_id, const char *my_hostname, struct str *out);

#endif
