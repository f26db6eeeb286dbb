/* SPDX-License-Identifier: ISC */
/* The postmaster's notice of a session with faults that notify_classes names (postconf(5)): its text, and sending it. */
#ifndef POSTHORN_SERVICE_TRANSCRIPT_H
#define POSTHORN_SERVICE_TRANSCRIPT_H

#include <stdint.h>

#include "common/base/str.h"

struct smtp_session;

/* What the notice is made of; texts are borrowed. */
struct transcript_notice {
    const char *queue_id, *my_hostname, *mail_name;
    const char *to;           /* error_notice_recipient: the header names it whoever gets the notice */
    const char *client;       /* "name[address]" */
    const char *end_reason;   /* "timeout"; NULL: it ended as it should, or goes on */
    struct slice transcript;  /* lines of a stranger's: "In:  QUIT\n" */
    int64_t now_us;
};

/* Appends the message, lines end in LF. Each line of the transcript has a blank in front and is folded at 78 bytes. Pure. */
void transcript_notice_format(const struct transcript_notice *notice, struct str *out);

/* A callback of struct smtp_server_policy: writes the notice and hands it to the queue. A failure is a warning: the notice is
 * lost, the session goes on. May wait. */
void service_notify(struct smtp_session *session, struct slice transcript, unsigned faults);

#endif
