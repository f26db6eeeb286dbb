/* SPDX-License-Identifier: ISC */
/* What a stranger wrote, as a value inside a search filter or a distinguished name. Pure; fuzzed. */
#ifndef POSTHORN_TABLE_LDAP_QUOTE_H
#define POSTHORN_TABLE_LDAP_QUOTE_H

#include "common/base/str.h"

/* RFC 4515 (2254), section 3. Always true: db_quote's form. */
bool ldap_quote_filter(void *context, struct slice text, struct str *out);
/* RFC 4514 (2253), section 2.4. Always true. */
bool ldap_quote_dn(void *context, struct slice text, struct str *out);

/*
 * RFC 4511, 4.1.4: 1 when the attribute description `have` is `wanted` or a sub-type of it ("mail;lang-de" of "mail"), -1 the
 * other way round, 0 when they are different attributes. Names do not know case.
 */
int ldap_compare_attributes(const char *wanted, const char *have);

#endif
