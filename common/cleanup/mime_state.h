/* SPDX-License-Identifier: ISC */
/*
 * A message, read piece by piece: headers with their continuation lines, body lines, and where in the MIME structure
 * (RFC 2045, 2046) each of them stands. Works on whatever part of the message is in memory; what it keeps itself is
 * bounded: so many levels of multipart, so many bytes of each boundary, so many bytes of a header. Pure; fuzzed.
 */
#ifndef POSTHORN_CLEANUP_MIME_STATE_H
#define POSTHORN_CLEANUP_MIME_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

/* Where a piece stands. */
enum mime_part {
    MIME_PRIMARY = 0, /* the message's own header */
    MIME_MULTIPART,   /* the header behind a boundary */
    MIME_NESTED,      /* the header of an attached message */
    MIME_BODY,
};

/* What is wrong with a message, worst first. */
enum mime_error {
    MIME_ERROR_NESTING = 1,
    MIME_ERROR_8BIT_HEADER = 2,
    MIME_ERROR_8BIT_BODY = 4,
    MIME_ERROR_ENCODING = 8, /* an encoding for a multipart or an attached message */
};

struct mime_rules {
    size_t header_limit;   /* header_size_limit, bytes */
    size_t boundary_limit; /* mime_boundary_length_limit, bytes */
    unsigned nesting_limit;/* mime_nesting_limit */
    size_t line_limit;     /* line_length_limit: longer lines come in pieces */
    unsigned reports;      /* mask of enum mime_error: which ones count */
    bool is_disabled;      /* disable_mime_input_processing: behind the header all is body */
};

struct mime_item {
    enum mime_part part;
    unsigned class;      /* of a header: mask of enum header_class */
    struct slice text;   /* without its last line end; borrowed from the input or, once normalized, from the state */
    bool ends_line;      /* false: a piece of a long line, more of it follows */
    bool is_inserted;    /* the blank line that the message lacked between header and body */
    uint64_t offset;     /* of body text, within its part */
    unsigned errors;     /* mask of enum mime_error: found here for the first time */
    struct slice about;  /* what the error is about */
};

struct mime_boundary; /* one level of multipart */

struct mime_state {
    struct mime_rules rules;
    struct mime_boundary *boundaries;
    unsigned depth;
    enum mime_part part;
    uint8_t type, subtype, encoding, domain; /* of the part being read */
    uint64_t body_offset;
    unsigned errors;
    bool is_skipping;   /* the rest of a header that was too long */
    bool inside_line;   /* the next byte is not the first of a line */
    struct str normal;  /* a header whose name had blanks behind it */
};

void mime_init(struct mime_state *state, const struct mime_rules *rules);
void mime_free(struct mime_state *state);

/*
 * Takes the next piece off *rest. False: there is none in what is left; more input must come (never with is_all, unless
 * nothing is left). Lines end in LF.
 */
bool mime_next(struct mime_state *state, struct slice *rest, bool is_all, struct mime_item *item) MUST_CHECK;

/* "5.6.0 MIME nesting exceeds safety limit": of the worst error in the mask, which must not be empty. */
const char *mime_error_text(unsigned errors);

#endif
