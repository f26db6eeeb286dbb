/* SPDX-License-Identifier: ISC */
/* Is this text well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates)? And its lower case. Pure. */
#ifndef POSTHORN_TABLE_UTF8_H
#define POSTHORN_TABLE_UTF8_H

#include "common/base/str.h"

bool utf8_is_valid(struct slice text);

/*
 * Appends the text in lower case, as keys are stored and looked up. Characters whose lower case is ASCII, and bytes that are
 * no UTF-8, stay as they are: nothing else may come to mean the same as an ASCII address.
 */
void utf8_append_folded(struct str *out, struct slice text);

#endif
