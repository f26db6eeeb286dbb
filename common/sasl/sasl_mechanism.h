/* SPDX-License-Identifier: ISC */
/* What is known of SASL mechanisms without talking to anybody: security options, names, whose login it is. Pure; fuzzed. */
#ifndef POSTHORN_SASL_MECHANISM_H
#define POSTHORN_SASL_MECHANISM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

/* smtpd_sasl_security_options to a mask of enum sasl_property. False: *bad is the word that is none. */
bool sasl_properties_parse(const char *options, uint32_t *mask, struct slice *bad) MUST_CHECK;

/* What an authentication service says of a mechanism. */
enum sasl_trait {
    SASL_TRAIT_PLAINTEXT = 1 << 0, SASL_TRAIT_ACTIVE = 1 << 1, SASL_TRAIT_DICTIONARY = 1 << 2, SASL_TRAIT_ANONYMOUS = 1 << 3,
    SASL_TRAIT_FORWARD_SECRECY = 1 << 4, SASL_TRAIT_MUTUAL_AUTH = 1 << 5, SASL_TRAIT_PRIVATE = 1 << 6,
};
/* Do these options allow such a mechanism? */
bool sasl_properties_allow(uint32_t mask, uint32_t traits);

/* RFC 4422 3.1: letters, digits, "-" and "_", at most 20 (some have more: 64 here). */
bool sasl_mechanism_is_valid(struct slice name);

/*
 * Who wants to log in, as far as the responses tell: PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-*, XOAUTH2 and
 * OAUTHBEARER carry the name in clear. step: 0 for the first response, counted from there. response: decoded. Appends
 * the name to login, or nothing; never anything else of the response.
 */
void sasl_login_name(struct slice mechanism, unsigned step, struct slice response, struct str *login);

/* Strict: whole groups of four, padding only at the end. Appends to out; false: malformed. */
bool base64_decode(struct slice text, struct str *out) MUST_CHECK;
void base64_encode(struct slice bytes, struct str *out);

#endif
