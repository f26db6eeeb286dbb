/* SPDX-License-Identifier: ISC */
/*
 * One pass over a message's header section on its way in: counts hops, finds the Message-Id, drops the
 * headers that must not travel (message_drop_headers, forged Authentication-Results), defuses a leading mbox "From " line and adds what
 * is missing. Bytes in, bytes out; lines end in LF. Pure; fuzzed.
 */
#ifndef POSTHORN_MAIL_HEADER_EDIT_H
#define POSTHORN_MAIL_HEADER_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

struct header_rules {
    const struct slice *drop; /* lower case names */
    size_t drop_count;
    /* Headers to complete with when the message lacks them: only for our own clients. */
    bool complete;
    const char *new_message_id; /* with angle brackets */
    const char *new_date;
    const char *new_from;       /* external address of the sender */
    /* Authentication-Results of this authserv-id are dropped (RFC 8601 5): only we may write them. NULL: none. */
    const char *forged_results_id;
    unsigned own_results; /* so many of them, the first ones, are ours */
    const char *new_to;         /* a whole header (undisclosed_recipients_header); NULL or "" for none */
    size_t size_limit;          /* header_size_limit, bytes; what is longer is cut. 0: none */
    /* Asked about every header that stays: true when it has appended the header itself, in another form. */
    bool (*rewrite)(void *context, struct slice name, struct slice rest, struct str *out);
    void *context;
    struct arena *arena; /* what the callback remembers for this edit only; NULL, or whoever made the rules frees it */
    bool is_whole;     /* the text ends with a whole header, whatever may follow */
    bool is_continued; /* facts and *out are those of the section's earlier part */
};

/* What the scan saw or added. The slices point into the input or into the rules. */
struct header_facts {
    unsigned received_count;
    struct slice message_id;        /* value as logged; empty text when there is none */
    bool has_message_id;
    struct slice resent_message_id; /* the first one; .data NULL: none */
    bool resent_came_first;
    bool is_resent;
    bool says_8bit; /* Content-Transfer-Encoding: 8bit or binary */
    bool added_message_id, added_resent_message_id;
    bool ended; /* a blank line or the first line of the body was seen */
    unsigned seen, own_results; /* header_edit's own */
};

struct header_line {
    struct slice name; /* without blanks before the colon */
    struct slice rest; /* from the colon on, continuation lines and last LF included */
};
/* Takes the header at the start of *text off it, with its continuation lines; an empty name: there is none. */
struct header_line header_take(struct slice *text);
/* The mbox separator ("From ...") at the start of a message, with its LF; empty when there is none. */
struct slice header_mbox_line(struct slice text);

/*
 * Reads the header section at the start of content and appends its edited form, with the blank line that
 * ends it, to *out. Returns how many bytes of content it took; what follows is body. is_all says that
 * nothing follows content; without it a section that does not end in content is edited up to its last header, which
 * may have more lines: the caller brings it again, with what follows (is_continued). Only a header longer than all of
 * content is taken in part, and what follows it is body.
 */
size_t header_edit(struct slice content, bool is_all, const struct header_rules *rules, struct str *out,
                   struct header_facts *facts);

/* Appends a first line that mbox readers would take for a separator, and takes it off *text. */
void header_defuse_mbox_line(struct slice *text, struct str *out);

#endif
