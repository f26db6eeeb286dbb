/* SPDX-License-Identifier: ISC */
/* An address backwards, for DNS lists (RFC 5782 2.1, 2.4) and PTR questions (RFC 1035 3.5, RFC 3596 2.5). */
#ifndef POSTHORN_DNS_REVERSE_H
#define POSTHORN_DNS_REVERSE_H

#include "common/base/arena.h"

/* "4.3.2.1", or 32 hexadecimal digits with dots. NULL: not an address. */
char *dns_reverse(const char *address, struct arena *arena);
/* The same with "in-addr.arpa" or "ip6.arpa". */
char *dns_reverse_name(const char *address, struct arena *arena);

#endif
