/* SPDX-License-Identifier: ISC */
/* The parameters that RFC 3461 adds to MAIL and RCPT: NOTIFY, RET, ENVID, ORCPT, and their xtext. Pure; fuzzed. */
#ifndef POSTHORN_MAIL_DSN_PARAMETER_H
#define POSTHORN_MAIL_DSN_PARAMETER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

/* "+HH" becomes the byte. False: malformed, or the result holds a NUL. Replaces the content of *out. */
bool xtext_decode(struct slice text, struct str *out) MUST_CHECK;

/* "SUCCESS,DELAY" to enum notify_flags. False: unknown word, empty, or NEVER with others. */
bool dsn_parse_notify(struct slice value, uint8_t *notify) MUST_CHECK;
/* "FULL" or "HDRS" to enum dsn_return. */
bool dsn_parse_return(struct slice value, uint8_t *dsn_return) MUST_CHECK;
/* ENVID: non-empty printable text after decoding. */
bool dsn_parse_envelope_id(struct slice value, struct str *out) MUST_CHECK;
/* ORCPT: "rfc822;xtext"; the decoded form keeps the type in front. */
bool dsn_parse_original(struct slice value, struct str *out) MUST_CHECK;

#endif
