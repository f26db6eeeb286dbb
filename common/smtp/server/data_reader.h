/* SPDX-License-Identifier: ISC */
/*
 * From the bytes of DATA or BDAT to the text of a message: dots unstuffed, CRLF turned into LF, stray CRs
 * into blanks. Only CRLF . CRLF ends DATA (RFC 5321 2.3.8, 4.1.1.4); whatever else looks like an end is text,
 * so that no second server behind us can see an end where we saw none. Clients who may send bare LFs end it with any lone
 * dot, as in Postfix. Pure; fuzzed.
 */
#ifndef POSTHORN_SMTP_SERVER_DATA_READER_H
#define POSTHORN_SMTP_SERVER_DATA_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

struct data_reader {
    bool is_chunk;       /* BDAT: no dots, no end inside */
    bool any_dot_ends;   /* smtpd_forbid_bare_newline = no, or a client it excludes */
    bool keep_bare_cr;   /* cleanup_replace_stray_cr_lf = no */
    bool inside_line;    /* the next byte is not the first of a line */
    bool after_bare_lf;  /* the last line ended in LF without CR */
    bool saw_bare_lf;
    unsigned pending_crs; /* BDAT: so many CRs ended the last window */
    uint64_t line_bytes; /* of the line being read */
    uint64_t wire_bytes; /* of complete lines, each with CRLF */
};

void data_reader_init(struct data_reader *reader, bool is_chunk);

/*
 * Reads from the window and appends text to *out. Returns how many bytes it took; it leaves a few at the end
 * that it cannot judge yet (none of a chunk). *ended turns true when the end of DATA was taken.
 */
size_t data_reader_feed(struct data_reader *reader, struct slice window, struct str *out, bool *ended);

/* After the last chunk: ends a last line that had no line end. */
void data_reader_finish(struct data_reader *reader, struct str *out);

#endif
