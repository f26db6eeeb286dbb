/* SPDX-License-Identifier: ISC */
/* The headers that tell an SPF result: Received-SPF (RFC 7208 9.1) and Authentication-Results (RFC 8601). Pure; fuzzed. */
#ifndef POSTHORN_SPF_HEADER_H
#define POSTHORN_SPF_HEADER_H

#include "common/dns/spf_protocol.h"

/* Appends both, lines ending in LF. Nothing when nothing was checked. */
void spf_header_append(const struct spf_question *question, const struct spf_answer *answer, const char *authserv_id,
                       struct str *out);

#endif
