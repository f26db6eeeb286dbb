/* SPDX-License-Identifier: ISC */
/* Access tables that are files: asked together, and not twice about the same. */
#ifndef POSTHORN_ACCESS_ACCESS_MEMORY_H
#define POSTHORN_ACCESS_ACCESS_MEMORY_H

#include "common/access/restrict.h"

/* As lookup_find(); servers and databases are really asked each time, as they may count or change. */
bool access_memory_find(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key,
                        enum restrict_stage subject, struct table_answer *answer) MUST_CHECK;

#endif
