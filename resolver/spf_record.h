/* SPDX-License-Identifier: ISC */
/*
 * SPF records (RFC 7208 12) and their macros (RFC 7208 7), read and expanded here and nowhere else: libspf2 gets
 * neither. Strangers wrote every byte. Pure; fuzzed.
 */
#ifndef POSTHORN_RESOLVER_SPF_RECORD_H
#define POSTHORN_RESOLVER_SPF_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/str.h"

#define SPF_MAX_RECORD 4000    /* bytes; RFC 7208 3.4 recommends 450 */
#define SPF_MAX_TERMS 400
#define SPF_MAX_EXPANSION 8192 /* bytes of one expanded macro string */
#define SPF_MAX_DOMAIN 253     /* RFC 7208 7.3 */

enum spf_mechanism { SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS };

struct spf_term {
    enum spf_mechanism mechanism;
    char qualifier;      /* + - ~ ? */
    struct slice domain; /* domain-spec as written, macros and all; empty: the current domain */
    unsigned cidr4, cidr6;
    unsigned char network[16]; /* of ip4 (4 bytes) and ip6 */
};

struct spf_record {
    struct spf_term *terms;
    size_t count;
    struct slice redirect, explanation; /* domain-specs; empty: not there */
};

/* "v=spf1", alone or with a blank behind it. */
bool spf_record_is(struct slice text);
/* The slices point into the text, arrays are of the arena. False: a syntax error, and *problem says which. */
bool spf_record_parse(struct slice text, struct arena *arena, struct spf_record *record, const char **problem) MUST_CHECK;

/* What macros stand for (RFC 7208 7.2). */
struct spf_macro_values {
    const char *sender, *local_part, *sender_domain; /* s, l, o */
    const char *domain;        /* d: the current one */
    const char *address;       /* c; i is made of it */
    const char *client_domain; /* p: validated name, or "unknown" */
    const char *helo, *receiver;
    int64_t now;               /* t: seconds since 1970 */
};

/* Syntax alone. c, r and t stand only in explanations; only there are blanks allowed. */
bool spf_macro_is_valid(struct slice text, bool is_explanation) MUST_CHECK;
bool spf_macro_wants_client_domain(struct slice text);
/* Appends the expansion of a valid macro string. False: it becomes longer than SPF_MAX_EXPANSION. */
bool spf_macro_expand(struct slice text, const struct spf_macro_values *values, struct str *out) MUST_CHECK;
/* A domain-spec's name: expanded, without a last dot, cut on the left to what a name may be. NULL: there can be no
 * such name. */
char *spf_macro_domain(struct slice spec, const struct spf_macro_values *values, struct arena *arena);
/* A domain that may have an SPF record at all (RFC 7208 4.3). */
bool spf_domain_is_valid(const char *domain);

#endif
