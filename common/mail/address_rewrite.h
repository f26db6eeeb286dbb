/* SPDX-License-Identifier: ISC */
/*
 * The full form of an address, as trivial-rewrite(8) makes it: source route, bang path and percent hack resolved, missing
 * domains completed. Used by lookup for envelopes and by the servers for header addresses. Pure.
 */
#ifndef POSTHORN_MAIL_ADDRESS_REWRITE_H
#define POSTHORN_MAIL_ADDRESS_REWRITE_H

#include <stdbool.h>

#include "common/mail/rfc822_tokens.h"

struct rewrite_rules {
    const char *origin; /* put behind "user"; "" for nothing */
    const char *domain; /* put behind "user@host"; "" for nothing */
    bool swap_bangpath, percent_hack, append_at_origin, append_dot_domain;
};

void rewrite_tokens(const struct rewrite_rules *rules, struct tokens *tokens);
/* The same for an internal form. In the arena. */
char *rewrite_address(const struct rewrite_rules *rules, const char *address, struct arena *arena);
/* True when it surely is in its full form: most addresses are, and need no tokens. */
bool rewrite_is_full(struct slice address);

#endif
