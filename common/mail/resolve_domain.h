/* SPDX-License-Identifier: ISC */
/* Is this a domain name or an address literal that mail can be sent to? Pure. */
#ifndef POSTHORN_MAIL_RESOLVE_DOMAIN_H
#define POSTHORN_MAIL_RESOLVE_DOMAIN_H

#include "common/base/str.h"

/* RFC 1123 names, underscores and UTF-8 allowed; no address in bare form (1.2.3.4). */
bool domain_is_valid(struct slice domain);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
bool domain_is_valid_literal(struct slice domain);
/* "192.0.2.1" or "2001:db8::1" without brackets. */
bool domain_is_bare_address(struct slice domain);

#endif
