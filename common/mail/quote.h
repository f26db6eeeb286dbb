/* SPDX-License-Identifier: ISC */
/* Addresses from their internal form (no quotes) to what RFC 5321 and RFC 5322 allow on the wire. Pure. */
#ifndef POSTHORN_MAIL_QUOTE_H
#define POSTHORN_MAIL_QUOTE_H

#include <stdbool.h>

#include "common/base/str.h"

/*
 * Appends the address; a local part that is no dot-string becomes a quoted string (RFC 5321 section 4.1.2,
 * RFC 5322 section 3.4.1). What looks like a source route is part of the local part (no internal address has a
 * route), and is quoted, lest others read one. Bytes above 127 pass (RFC 6531). "" stays "".
 */
void quote_append_address(struct str *out, const char *address);

/* False when the address holds a control character: such a thing must never reach a command or a header. */
bool quote_is_safe(const char *address);

/* Appends the text as xtext (RFC 3461 section 4): everything but printable ASCII, and '+' and '=', as "+HH". */
void quote_append_xtext(struct str *out, const char *text);

#endif
