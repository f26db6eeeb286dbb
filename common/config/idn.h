/* SPDX-License-Identifier: ISC */
/*
 * Domain names in other scripts, for ${domain_to_ascii{name}} and ${domain_to_utf8{name}}: IDNA2008 with the
 * mapping of UTS 46, by libidn2, which is loaded when a value first needs it.
 */
#ifndef POSTHORN_CONFIG_IDN_H
#define POSTHORN_CONFIG_IDN_H

#include <stdbool.h>

#include "common/base/str.h"

/* For a process that will not be able to open files: loads the library now. A failure is told by the conversion. */
void idn_load(void);

/*
 * Appends the name's other form to *result; a name that has none (ASCII, or none of its labels begins "xn--")
 * stays as it is and needs no library. False with the reason in *why: one phrase, no newline.
 */
bool idn_to_ascii(const char *name, struct str *result, struct str *why) MUST_CHECK;
bool idn_to_utf8(const char *name, struct str *result, struct str *why) MUST_CHECK;

bool idn_is_ascii(const char *text);

#endif
