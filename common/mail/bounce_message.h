/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications (RFC 3461 section 6, RFC 3462, RFC 3464), in the form that Postfix gives them.
 * Pure: text in, text out.
 */
#ifndef POSTHORN_MAIL_BOUNCE_MESSAGE_H
#define POSTHORN_MAIL_BOUNCE_MESSAGE_H

#include "common/mail/envelope.h"

enum bounce_notice {
    NOTICE_FAILED,    /* could not be delivered */
    NOTICE_DELAYED,   /* not yet delivered */
    NOTICE_DELIVERED, /* to the sender, who asked: delivered */
};

struct bounce_recipient {
    const struct recipient *recipient;
    const char *dsn, *reason, *remote_host, *diagnostic; /* the last two may be NULL or "" */
};

/* What people read first: from the templates of bounce_template_file. */
struct bounce_text {
    const char *from;    /* of the From: header, with full addresses */
    const char *subject;
    const char *charset;
    const char *text;    /* $names replaced, lines that end in LF; "" for none */
};

struct bounce_message {
    enum bounce_notice notice;
    const struct bounce_text *text;
    bool for_postmaster;            /* not for the sender: a copy, or a notification that could not be delivered */
    bool is_threaded;               /* enable_threaded_bounces */
    bool may_be_8bit;               /* smtputf8_enable: addresses and host names may be; Postfix says so always then */
    const char *mail_daemon;        /* who the null sender is: "MAILER-DAEMON@example.com" */
    const char *queue_id;           /* of the notification itself */
    const char *to;                 /* "" is not allowed */
    int64_t now_us;
    const char *host_name;          /* myhostname */
    const char *mail_name;          /* mail_name, for Received: */
    const struct envelope *subject; /* the message that it is about */
    int64_t expires_us;             /* NOTICE_DELAYED: until when delivery is tried */
    const struct bounce_recipient *recipients;
    size_t recipient_count;
    struct slice content;           /* of the message that it is about: all, or its beginning */
    bool headers_only;              /* give back no more than the headers */
};

/* Appends the whole message, lines ending in LF. */
void bounce_message_format(const struct bounce_message *message, struct str *out);
/* Its Message-Id with angle brackets, for the log and the envelope. */
void bounce_message_id(const struct bounce_message *message, struct str *out);
/* The header section of a content, with the last line's end. */
struct slice bounce_headers_of(struct slice content);

#endif
