/* SPDX-License-Identifier: ISC */
/*
 * The addresses inside a header (From, To, Cc, ...), so that they can be rewritten and all around them -- names, comments,
 * groups -- stays. RFC 5322 section 3.4, and the odd lists that people write. Pure; fuzzed.
 */
#ifndef POSTHORN_CLEANUP_HEADER_ADDRESSES_H
#define POSTHORN_CLEANUP_HEADER_ADDRESSES_H

#include <stdbool.h>

#include "common/mail/rfc822_tokens.h"

struct header_address {
    struct tokens tokens; /* without comments; the rewriter may put others in their place */
};

/* A piece of the list: an address, or a token that is none of one. */
struct header_piece {
    struct header_address *address; /* NULL: a token */
    struct token token;
    struct header_piece *next;
};

struct header_addresses {
    struct arena *arena;
    struct header_piece *pieces;
    struct header_address **list; /* the addresses, in order */
    size_t count;
};

/*
 * value: the text behind "Name:", with its continuation lines. No more than `limit` tokens are read (0: all; what is
 * behind them is lost when the header is written anew: header_address_token_limit). Memory from the arena.
 */
void header_addresses_parse(struct slice value, size_t limit, struct arena *arena, struct header_addresses *addresses);

/*
 * Appends "Name: list" and a line end, as many addresses a line as fit. What stands around an address and is longer than
 * 250 bytes is left out; the first such text is appended to *stripped.
 */
void header_addresses_format(const struct header_addresses *addresses, struct slice name, struct str *out,
                             struct str *stripped);

/* Surely full addresses in a plain list: nothing to rewrite without tables. False costs a parse and no more. */
bool header_addresses_are_full(struct slice value);

#endif
