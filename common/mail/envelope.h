/* SPDX-License-Identifier: ISC */
/*
 * A message's envelope: what SMTP says about it outside of its content. One type for the roles that
 * take mail in, the queue and the delivery agents; one encoding for IPC and for the spool.
 */
#ifndef POSTHORN_MAIL_ENVELOPE_H
#define POSTHORN_MAIL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/process/ipc_codec.h"

#define QUEUE_ID_SIZE 32 /* with its NUL */

/* RFC 3461 NOTIFY; 0 when the client said nothing. */
enum notify_flags { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };

/* RFC 3461 RET. */
enum dsn_return { DSN_RETURN_UNSET = 0, DSN_RETURN_FULL = 1, DSN_RETURN_HEADERS = 2 };

enum envelope_flags {
    ENVELOPE_8BITMIME = 1 << 0,  /* MAIL ... BODY=8BITMIME */
    ENVELOPE_SMTPUTF8 = 1 << 1,
    ENVELOPE_HOLD = 1 << 2,      /* to be kept in hold/ until released */
    ENVELOPE_BOUNCE = 1 << 3,    /* a notification made by the queue itself */
    ENVELOPE_PROBE = 1 << 4,     /* address verification: find out, never deliver; said by the queue alone */
};

struct recipient {
    char *address;        /* where it goes now (after alias expansion) */
    char *original;       /* as the client gave it; logged as orig_to when it differs */
    char *dsn_original;   /* ORCPT, "rfc822;user@host" in xtext-decoded form, or "" */
    uint8_t notify;       /* enum notify_flags */
};

struct envelope {
    char queue_id[QUEUE_ID_SIZE];
    int64_t arrival_us;   /* wall clock, when MAIL was accepted */
    char *sender;         /* "" for the null sender */
    uint32_t flags;       /* enum envelope_flags */
    uint8_t dsn_return;   /* enum dsn_return */
    char *dsn_envelope_id;/* ENVID, xtext-decoded, or "" */
    /* The client, for logs, XFORWARD and milters later. "" when unknown. */
    char *client_name, *client_address, *client_port, *helo_name, *protocol_name;
    char *sasl_method, *sasl_username, *sasl_sender;
    char *log_ident;      /* milter or filter name; "" */
    char *content_filter; /* transport:nexthop that overrides routing; "" */
    char *message_id;     /* with its angle brackets, for the log; "" */
    struct recipient *recipients;
    size_t recipient_count;
};

/* Appends the encoding (it begins with its own version byte). */
void envelope_encode(const struct envelope *envelope, struct str *out);
/* Reads one; everything in it lives in the arena. False: malformed (the envelope is unspecified). */
bool envelope_decode(struct ipc_reader *reader, struct arena *arena, struct envelope *envelope) MUST_CHECK;

void recipient_encode(const struct recipient *recipient, struct str *out);
void recipient_decode(struct ipc_reader *reader, struct arena *arena, struct recipient *recipient);

#endif
