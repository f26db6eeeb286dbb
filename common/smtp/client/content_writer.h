/* SPDX-License-Identifier: ISC */
/*
 * Message content from the spool's form (lines end in LF) to what follows DATA: CRLF line ends, leading
 * dots doubled (RFC 5321 section 4.5.2), overlong lines broken, the last line completed, the final dot. Pure;
 * fuzzed. What it writes contains CR and LF only as CRLF, and the end of data exactly once, at its end.
 */
#ifndef POSTHORN_SMTP_CLIENT_CONTENT_WRITER_H
#define POSTHORN_SMTP_CLIENT_CONTENT_WRITER_H

#include <stdbool.h>

#include "common/base/str.h"

struct content_writer {
    size_t line_limit; /* 0: none */
    size_t line_len;   /* octets of the present output line, doubled dots not counted */
    bool has_folded;   /* some line was broken */
};

/* line_limit as lmtp_line_length_limit and smtp_line_length_limit: longer lines are broken with CRLF and a
 * blank; 0 leaves them; 1 counts as 2. */
void content_writer_start(struct content_writer *writer, size_t line_limit);
/* Appends the next piece of content to *out. Pieces may be cut anywhere. */
void content_writer_add(struct content_writer *writer, struct slice piece, struct str *out);
/* Completes the last line and appends the final dot. */
void content_writer_finish(struct content_writer *writer, struct str *out);

#endif
