/* SPDX-License-Identifier: ISC */
/* Address patterns as cidr: tables have them: "192.0.2.0/24", "2001:db8::1", "[::1]". Pure. */
#ifndef POSTHORN_TABLE_CIDR_H
#define POSTHORN_TABLE_CIDR_H

#include "common/table/pattern_rules.h"

struct cidr_address {
    int family; /* AF_INET or AF_INET6 */
    unsigned char bytes[16];
};

struct cidr_network {
    struct cidr_address address;
    unsigned prefix; /* bits that must be equal */
};

/* False with what is wrong with the text in *why. */
bool cidr_network_parse(struct slice text, struct cidr_network *network, struct str *why) MUST_CHECK;
bool cidr_address_parse(struct slice text, struct cidr_address *address) MUST_CHECK;

extern const struct pattern_syntax cidr_syntax;

#endif
