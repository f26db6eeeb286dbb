/* SPDX-License-Identifier: ISC */
/* What this service would say to a client that is only imagined. */
#ifndef POSTHORN_SERVICE_EXPLAIN_H
#define POSTHORN_SERVICE_EXPLAIN_H

#include "common/access/explain_protocol.h"

/* On a fiber. Appends the events of the dialogue; false when the request is malformed. */
bool service_explain(struct slice request, struct str *out) MUST_CHECK;

#endif
