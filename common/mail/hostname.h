/* SPDX-License-Identifier: ISC */
/* Is this text a host name, an address, an address literal? As RFC 1123 and 5321 say, with Postfix's leniency. Pure. */
#ifndef POSTHORN_MAIL_HOSTNAME_H
#define POSTHORN_MAIL_HOSTNAME_H

#include <stdbool.h>

#include "common/base/str.h"

/* Labels of 1 to 63 letters, digits, '-' inside, and '_'; 255 bytes in all; not only digits and dots.
 * UTF-8 is allowed in labels. No trailing dot. */
bool hostname_is_valid(struct slice name);
/* "192.0.2.1" or "2001:db8::1". */
bool hostname_is_address(struct slice text);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]". */
bool hostname_is_literal(struct slice text);

#endif
