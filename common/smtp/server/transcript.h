/* SPDX-License-Identifier: ISC */
/*
 * What client and server said to each other, kept for the postmaster when notify_classes names a fault of this session's.
 * Nothing is kept, and nothing costs anything, when no class is named. With the default (resource, software) it begins with
 * the command that met such trouble. 64 KB and the exchange that goes beyond is the most that a session keeps.
 */
#ifndef POSTHORN_SMTP_SERVER_TRANSCRIPT_H
#define POSTHORN_SMTP_SERVER_TRANSCRIPT_H

#include "common/smtp/server/session.h"

/* The classes of notify_classes that a server knows; what a refusal is for. */
enum smtp_fault {
    FAULT_PROTOCOL = 1 << 0, /* what a refusal is for unless somebody says otherwise */
    FAULT_POLICY = 1 << 1,
    FAULT_RESOURCE = 1 << 2,
    FAULT_SOFTWARE = 1 << 3,
    FAULT_BOUNCE = 1 << 4, /* the message would have been returned: an unknown user, a message too big */
    FAULT_DATA = 1 << 5,   /* a table failed */
    FAULT_NONE = 1 << 6,   /* nobody's: no class tells of it */
};

/* A mask of enum smtp_fault from "resource, software". Unknown words are other programs' classes. */
unsigned smtp_fault_classes(const char *list);

/* What the next refusal is for; the first to say so knows best. */
void smtp_session_blame(struct smtp_session *session, enum smtp_fault fault);

/* A command line; without what follows AUTH and its mechanism. */
void smtp_transcript_command(struct smtp_session *session, struct slice line);
/* A reply of one or more lines, parted by CRLF; refusals are counted by their class. */
void smtp_transcript_reply(struct smtp_session *session, struct slice reply);
/* A message was taken: what was wrong before is forgiven. */
void smtp_transcript_forgive(struct smtp_session *session);
/* Has the policy tell the postmaster, if there were such faults, and begins anew, when the transcript has more than this many
 * lines (or too many bytes). May wait. */
void smtp_transcript_flush(struct smtp_session *session, size_t lines);

#endif
