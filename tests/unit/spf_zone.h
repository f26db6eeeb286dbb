/* SPDX-License-Identifier: ISC */
/* A zone in memory that stands in for query.c: query_ask() answers from it. */
#ifndef POSTHORN_TESTS_SPF_ZONE_H
#define POSTHORN_TESTS_SPF_ZONE_H

#include "resolver/resolver.h"

void zone_clear(void);
/* type "TIMEOUT": what the name does not have is not answered. MX data: "10 name". The texts are copied. */
void zone_add(const char *name, const char *type, const char *data);
/* Questions since zone_clear(). */
unsigned zone_questions(void);

#endif
