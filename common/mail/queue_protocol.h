/* SPDX-License-Identifier: ISC */
/*
 * Records between the roles that take mail in (smtpd, submission) and the queue, and between the queue and
 * the delivery agents (lmtp, virtual, later smtp). docs/architecture.md draws the edges.
 *
 * Taking in: IDS gives a block of serial numbers, so that a session can name its queue id in the log at the
 * first accepted recipient without asking. A small content travels inside SUBMIT; a large one is
 * streamed into a spool file whose descriptor SPOOL_OPEN gives. SUBMIT is answered after the
 * message is on stable storage, and only then may the client see 250.
 */
#ifndef POSTHORN_MAIL_QUEUE_PROTOCOL_H
#define POSTHORN_MAIL_QUEUE_PROTOCOL_H

#include "common/mail/envelope.h"

/* Content up to this size travels inside SUBMIT and DELIVER; larger content in a file of its own. */
#define INLINE_CONTENT_LIMIT (128u * 1024)

enum queue_record {
    QUEUE_IDS = 1,        /* request {}                       -> {u32 first, u32 count} */
    QUEUE_SPOOL_OPEN = 2, /* request {u32 serial}             -> {u8 submit_status} + descriptor to write content */
    QUEUE_SUBMIT = 3,     /* request {struct submission}      -> {u8 submit_status, text reason} */
    QUEUE_VERIFY = 5,     /* request {struct verify_question}  -> {verify answer}, when it is known (verify_record.h) */
    QUEUE_ABANDON = 4,    /* notice  {u32 serial}: the file of SPOOL_OPEN is not needed */
};

enum submit_status {
    SUBMIT_OK = 0,
    SUBMIT_NO_SPACE = 1,  /* 452 4.3.1 Insufficient system storage */
    SUBMIT_ERROR = 2,     /* 451 4.3.0 queue file write error */
};

struct submission {
    uint32_t serial;
    struct envelope envelope;
    bool in_file;          /* content is in the file of SPOOL_OPEN(serial) */
    struct slice content;  /* otherwise here: header and body, CRLF turned into LF */
    uint64_t content_size;
    uint64_t content_hash; /* XXH3_64bits of the content */
};

void submission_encode(const struct submission *submission, struct str *out);
bool submission_decode(struct slice body, struct arena *arena, struct submission *submission) MUST_CHECK;

/* Queue ids. serial is unique among the messages in the spool. Short: 5 hexadecimal digits of the
 * microsecond, then the serial; long (enable_long_queue_ids): as Postfix writes them. */
void queue_id_make(char queue_id[QUEUE_ID_SIZE], int64_t arrival_us, uint32_t serial, bool long_form);
/* The serial in a queue id of either form; false when it is none. */
bool queue_id_serial(struct slice queue_id, uint32_t *serial) MUST_CHECK;

/* --- the queue and its delivery agents ------------------------------------------- */

enum deliver_record {
    DELIVER = 1,      /* request {struct delivery} [+ descriptor to read content] -> {struct delivery_result} */
    DELIVER_FD = 2,   /* the same with a descriptor */
};

struct delivery_recipient {
    uint32_t index;          /* in the message's recipient list; echoed in the result */
    struct recipient to;
};

struct delivery {
    struct envelope envelope;   /* recipients empty */
    char *transport, *next_hop; /* next_hop as transport(5) writes it, "" for the default */
    int64_t active_us;          /* wall clock, when it became active (for delays=) */
    bool in_file;               /* DELIVER_FD */
    struct slice content;       /* when inline */
    uint64_t content_offset;    /* in the descriptor */
    uint64_t content_size, content_hash;
    struct delivery_recipient *recipients;
    size_t recipient_count;
};

enum delivery_status {
    DELIVERY_SENT = 0,
    DELIVERY_DEFERRED = 1,
    DELIVERY_BOUNCED = 2,
    DELIVERY_CORRUPT = 3, /* the content does not match its hash */
};

struct recipient_result {
    uint32_t index;
    uint8_t status;        /* enum delivery_status */
    char *dsn;             /* "2.0.0" */
    char *reason;          /* the text in parentheses of the log line, and of a bounce */
    char *remote_host;     /* "mail.example", for Remote-MTA in bounces; "" for none */
    char *diagnostic;      /* "smtp; 550 5.1.1 ..." or "x-unix; ..."; "" for none */
    bool dsn_relayed;      /* sent to a server with DSN (RFC 3461): success notifications are its duty now */
};

struct delivery_result {
    struct recipient_result *recipients;
    size_t recipient_count;
    bool host_unreachable;  /* no session could be opened: the scheduler slows this destination */
    char *reason;           /* why, when host_unreachable */
};

void delivery_encode(const struct delivery *delivery, struct str *out);
bool delivery_decode(struct slice body, struct arena *arena, struct delivery *delivery) MUST_CHECK;
void delivery_result_encode(const struct delivery_result *result, struct str *out);
bool delivery_result_decode(struct slice body, struct arena *arena, struct delivery_result *result) MUST_CHECK;

#endif
