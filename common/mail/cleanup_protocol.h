/* SPDX-License-Identifier: ISC */
/*
 * Records between the roles that take mail in and lookup, for what cleanup(8) does in Postfix: CHECK asks content checks
 * about many lines at once, REWRITE asks for all address rewriting and automatic copies of a message. Both are
 * asked only for messages that need them.
 */
#ifndef POSTHORN_MAIL_CLEANUP_PROTOCOL_H
#define POSTHORN_MAIL_CLEANUP_PROTOCOL_H

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/mail/envelope.h"
#include "common/process/ipc_codec.h"

/* LOOKUP_CHECK and LOOKUP_REWRITE in lookup_protocol.h. */

/* --- content checks: {u8 n, n * {text maps, text parameter}, u32 m, m * {u8 group, bytes line}} ---------------- */

#define CHECK_MAX_GROUPS 4

struct check_group {
    const char *maps;      /* "pcre:/etc/postfix/header_checks" */
    const char *parameter; /* "header_checks" */
};

void check_question_begin(const struct check_group *groups, size_t count, struct str *out);
/* After all lines of the question were counted. */
void check_question_count(uint32_t lines, struct str *out);
void check_question_line(uint8_t group, struct slice line, struct str *out);

/* Reading it, line by line. */
struct check_question {
    struct check_group groups[CHECK_MAX_GROUPS];
    size_t group_count;
    size_t line_count;
    struct ipc_reader reader;
};
bool check_question_decode(struct slice body, struct arena *arena, struct check_question *question) MUST_CHECK;
/* False: malformed. Call it line_count times, then ipc_reader_finish(&question->reader). */
bool check_question_next(struct check_question *question, uint8_t *group, struct slice *line) MUST_CHECK;

/* The answer: {u8 failed, u32 line, u32 n, n * {u32 line, text value}}; lines in order, up to the failing one. */
struct check_hit {
    uint32_t line;
    char *value;
};
struct check_answer {
    bool failed;          /* a table could not say about failed_line; what follows it was not asked */
    uint32_t failed_line;
    struct check_hit *hits;
    size_t count;
};
void check_answer_encode(const struct check_answer *answer, struct str *out);
bool check_answer_decode(struct slice body, struct arena *arena, struct check_answer *answer) MUST_CHECK;

/* --- addresses of a message ---------------------------------------------------------------------- */

/* Where an address stands: canonical_classes and masquerade_classes. */
enum address_role {
    ROLE_ENVELOPE_SENDER = 1,
    ROLE_ENVELOPE_RECIPIENT = 2,
    ROLE_HEADER_SENDER = 4,
    ROLE_HEADER_RECIPIENT = 8,
};

enum rewrite_flags {
    REWRITE_NO_MAPS = 1,     /* receive_override_options = no_address_mappings: no canonical, no masquerade, no aliases */
    REWRITE_SENDER_BCC = 2,  /* sender_bcc_maps for the sender */
    REWRITE_ALWAYS_BCC = 4,
};

struct role_address {
    uint8_t role; /* enum address_role */
    char *address;/* internal form, rewritten to its full form already */
};

struct rewrite_question {
    char *profile;    /* a cleanup service with overrides of its own, or "" */
    char *queue_id;   /* for warnings */
    uint8_t flags;
    char *sender;     /* of the envelope, in its final form: for sender_bcc_maps */
    struct role_address *addresses;
    size_t count;
    char **copies;    /* BCC addresses that checks and access tables gave */
    size_t copy_count;
};

struct rewrite_answer {
    bool failed;      /* a table failed, and the log has the reason: 451 4.3.0 */
    char **addresses; /* as many as were asked about */
    size_t count;
    struct recipient *copies; /* automatic copies and those asked for, aliases expanded; notify is NEVER */
    size_t copy_count;
};

void rewrite_question_encode(const struct rewrite_question *question, struct str *out);
bool rewrite_question_decode(struct slice body, struct arena *arena, struct rewrite_question *question) MUST_CHECK;
void rewrite_answer_encode(const struct rewrite_answer *answer, struct str *out);
bool rewrite_answer_decode(struct slice body, struct arena *arena, struct rewrite_answer *answer) MUST_CHECK;

#endif
