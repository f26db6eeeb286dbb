/* SPDX-License-Identifier: ISC */
/* Is this text well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates)? Pure. */
#ifndef POSTHORN_TABLE_UTF8_H
#define POSTHORN_TABLE_UTF8_H

#include "common/base/str.h"

bool utf8_is_valid(struct slice text);

#endif
