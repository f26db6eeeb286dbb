/* SPDX-License-Identifier: ISC */
/*
 * Mail addresses as SMTP writes them. Inside Posthorn an address is "local@domain" with the local part
 * unquoted ("a b@example.com"); on the wire and in logs it is quoted (`"a b"@example.com`). Pure; fuzzed.
 */
#ifndef POSTHORN_MAIL_ADDRESS_PARSE_H
#define POSTHORN_MAIL_ADDRESS_PARSE_H

#include <stdbool.h>

#include "common/base/str.h"

enum address_parse_flags {
    ADDRESS_ALLOW_EMPTY = 1, /* "<>": MAIL only */
    ADDRESS_STRICT = 2,      /* strict_rfc821_envelopes: the brackets are required */
    ADDRESS_ALLOW_MINUS = 4, /* allow_min_user: a local part may begin with '-' */
    ADDRESS_UTF8 = 8,        /* the domain may hold other letters than ASCII's (SMTPUTF8) */
};

enum address_parse_status {
    ADDRESS_PARSED = 0,
    ADDRESS_MALFORMED,
};

/*
 * The path of MAIL or RCPT (RFC 5321 4.1.2): a source route is dropped, quotes and backslashes are
 * resolved, comments removed, the domain checked. NUL, CR and LF are refused even where quoted. Unless it is strict,
 * what RFC 822 has around addresses in headers is taken off, as in Postfix: Anna <a@b> (comment).
 * On success the internal form replaces the content of *address.
 */
enum address_parse_status address_parse_path(struct slice path, unsigned flags, struct str *address) MUST_CHECK;

/* The domain behind the last '@'; empty when there is none. */
struct slice address_domain(struct slice address);
/* What is before the last '@', or all of it. */
struct slice address_local_part(struct slice address);

#endif
