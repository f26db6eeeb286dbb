/* SPDX-License-Identifier: ISC */
/* Content-Type and Content-Transfer-Encoding (RFC 2045 section 5 and 6), as far as the structure of a message goes. Pure. */
#ifndef POSTHORN_CLEANUP_CONTENT_TYPE_H
#define POSTHORN_CLEANUP_CONTENT_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

enum mime_type { TYPE_OTHER = 0, TYPE_TEXT, TYPE_MESSAGE, TYPE_MULTIPART };
enum mime_subtype { SUBTYPE_OTHER = 0, SUBTYPE_PLAIN, SUBTYPE_RFC822, SUBTYPE_PARTIAL, SUBTYPE_EXTERNAL, SUBTYPE_GLOBAL,
                    SUBTYPE_DIGEST };
enum mime_encoding { ENCODING_7BIT = 0, ENCODING_8BIT, ENCODING_BINARY, ENCODING_BASE64, ENCODING_QUOTED };

/*
 * Type and subtype; *rest is what follows their semicolon. A type that has no structure changes nothing (Postfix: the
 * part's default stays). False: the value is empty.
 */
bool content_type_parse(struct slice value, uint8_t *type, uint8_t *subtype, struct slice *rest) MUST_CHECK;
/* The next boundary parameter's value, unquoted, appended to *value. False: no more of them. */
bool content_type_boundary(struct slice *rest, struct str *value) MUST_CHECK;
/* False: none that RFC 2045 knows. */
bool content_encoding_parse(struct slice value, uint8_t *encoding) MUST_CHECK;
/* 7bit for base64 and quoted-printable. */
uint8_t content_encoding_domain(uint8_t encoding);
const char *content_encoding_name(uint8_t encoding);

#endif
