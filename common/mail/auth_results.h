/* SPDX-License-Identifier: ISC */
/* Authentication-Results headers (RFC 8601): who claims to have written one. Pure; fuzzed with header_edit. */
#ifndef POSTHORN_MAIL_AUTH_RESULTS_H
#define POSTHORN_MAIL_AUTH_RESULTS_H

#include <stdbool.h>

#include "common/base/str.h"

/* True when the header's value, comments and line breaks and all, begins with that authserv-id, in whatever case or quotes. */
bool auth_results_claims(struct slice value, struct slice authserv_id);

#endif
