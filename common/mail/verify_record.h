/* SPDX-License-Identifier: ISC */
/*
 * Address verification (ADDRESS_VERIFICATION_README): what is remembered of an address, and what smtpd asks the queue.
 * Results are kept by the state role in the store "verify"; smtpd reads them, the queue, which sends the probes, writes
 * them. Pure; fuzzed.
 */
#ifndef POSTHORN_MAIL_VERIFY_RECORD_H
#define POSTHORN_MAIL_VERIFY_RECORD_H

#include "common/process/ipc_codec.h"

#define VERIFY_STORE "verify"
#define VERIFY_TEXT_LIMIT 1000 /* octets of a reason */
#define VERIFY_IN_PROGRESS "Address verification in progress"

enum verify_status {
    VERIFY_OK = 0,
    VERIFY_DEFERRED = 1, /* a probe met a temporary error */
    VERIFY_BOUNCED = 2,
    VERIFY_UNKNOWN = 3,  /* not known yet; never stored */
};

/* What is remembered. */
struct verify_entry {
    uint8_t status;  /* enum verify_status */
    int64_t updated; /* seconds since 1970 */
    char *text;      /* what the server said */
};
void verify_entry_encode(const struct verify_entry *entry, struct str *out);
bool verify_entry_decode(struct slice value, struct arena *arena, struct verify_entry *entry) MUST_CHECK;

enum verify_flags {
    VERIFY_KNOWN_GOOD = 1, /* the address has a good result that is due for renewal: a failure changes nothing */
};

/* QUEUE_VERIFY: the question, and its answer, which comes when the probe has a result. */
struct verify_question {
    char *address; /* internal form */
    uint8_t flags; /* enum verify_flags */
};
void verify_question_encode(const struct verify_question *question, struct str *out);
bool verify_question_decode(struct slice body, struct arena *arena, struct verify_question *question) MUST_CHECK;
void verify_answer_encode(enum verify_status status, const char *text, struct str *out);
bool verify_answer_decode(struct slice body, struct arena *arena, enum verify_status *status, char **text) MUST_CHECK;

#endif
