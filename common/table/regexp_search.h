/* SPDX-License-Identifier: ISC */
/* POSIX regular expressions on long subjects, in time that does not grow with the square of their length. Pure. */
#ifndef POSTHORN_TABLE_REGEXP_SEARCH_H
#define POSTHORN_TABLE_REGEXP_SEARCH_H

#include <regex.h>

#include "common/base/str.h"

struct regexp_search;

enum regexp_search_result { REGEXP_SEARCH_FOUND, REGEXP_SEARCH_NOTHING, REGEXP_SEARCH_FAILED };

/* pattern: compiled as regex with these flags, which is the caller's and lives as long. */
struct regexp_search *regexp_search_new(const regex_t *regex, const char *pattern, int flags);
void regexp_search_free(struct regexp_search *search);
bool regexp_search_has_back_reference(const struct regexp_search *search);
/* As regexec(). subject ends in a NUL. FAILED with the reason in *why. */
enum regexp_search_result regexp_search_run(struct regexp_search *search, struct slice subject, regmatch_t *groups, size_t count,
                                            struct str *why) MUST_CHECK;

#endif
