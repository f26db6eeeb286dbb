/* SPDX-License-Identifier: ISC */
/*
 * What became of each recipient of a delivery: the result that goes back to the queue, and Postfix's log
 * line "ID: to=<>, orig_to=<>, relay=, delay=, delays=a/b/c/d, dsn=, status=sent (...)".
 */
#ifndef POSTHORN_MAIL_DELIVERY_REPORT_H
#define POSTHORN_MAIL_DELIVERY_REPORT_H

#include "common/base/arena.h"
#include "common/mail/queue_protocol.h"

/* Wall clock, microseconds; 0: did not come to that. */
struct delivery_times {
    int64_t arrival;  /* MAIL was accepted */
    int64_t active;   /* the queue took it up */
    int64_t handoff;  /* the delivery agent got it */
    int64_t setup;    /* the connection was ready for MAIL */
    int64_t done;
};

/* Appends a delay as Postfix writes it: two significant digits, at most `resolution` (0 to 6) decimals
 * (delay_logging_resolution_limit), whole seconds from 10 on. Negative counts as 0. */
void delivery_format_delay(struct str *out, int64_t microseconds, unsigned resolution);

/* Appends ", delay=..., delays=a/b/c/d": before the queue, in the queue, connection set-up, transmission. */
void delivery_format_delays(struct str *out, const struct delivery_times *times, unsigned resolution);

/* Appends the whole line. uses: deliveries over this connection before this one. */
void delivery_format_line(struct str *out, const char *queue_id, const struct recipient *to, const char *relay,
                          unsigned uses, const struct delivery_times *times, unsigned resolution,
                          const char *dsn, const char *status, const char *reason);

/* What the log calls the result of an address probe. */
const char *delivery_probe_word(bool accepted, bool failures_are_kept);

struct delivery_report {
    const struct delivery *delivery;
    struct arena *arena;               /* results live here */
    struct recipient_result *results;  /* parallel to delivery->recipients; reason NULL: not decided yet */
    size_t undecided;
    struct delivery_times times;       /* done is taken when a recipient is decided */
    const char *relay;                 /* "none" until there is one */
    unsigned uses;
    unsigned resolution;               /* delay_logging_resolution_limit */
    bool soft_bounce;                  /* 5xx becomes 4xx, logged as SOFTBOUNCE */
    bool keeps_failures;               /* address_verify_negative_cache, for the words of a probe's log line */
    bool server_has_dsn;               /* who is sent to it needs no success notification from us */
};

void delivery_report_start(struct delivery_report *report, const struct delivery *delivery,
                           struct arena *arena);
bool delivery_report_is_decided(const struct delivery_report *report, size_t index);

/*
 * Decides one recipient and logs it. The first digit of dsn makes the status: 2 sent, 4 deferred, 5 bounced.
 * remote_host (NULL: none) is the server that said so, diagnostic its words ("smtp; 550 ..."). Texts are copied.
 */
void delivery_report_one(struct delivery_report *report, size_t index, const char *dsn, const char *reason,
                         const char *remote_host, const char *diagnostic);
/* The same for all that are undecided. */
void delivery_report_rest(struct delivery_report *report, const char *dsn, const char *reason,
                          const char *remote_host, const char *diagnostic);
/* The content does not match its hash: all that are undecided become DELIVERY_CORRUPT, with a warning. */
void delivery_report_corrupt(struct delivery_report *report);
/* Appends the encoded struct delivery_result. unreachable: NULL, or why no session could be held. */
void delivery_report_encode(const struct delivery_report *report, const char *unreachable, struct str *out);

#endif
