/* SPDX-License-Identifier: ISC */
/*
 * Text that is part of everything a regular expression matches, read off the expression: where a subject lacks it, there is
 * no need to start the engine. Lists of patterns are long, and most of their patterns do not match. Pure.
 */
#ifndef POSTHORN_TABLE_PATTERN_LITERAL_H
#define POSTHORN_TABLE_PATTERN_LITERAL_H

#include "common/base/str.h"

/* How the expression is to be read. */
struct pattern_dialect {
    bool is_perl;       /* else POSIX extended */
    bool is_multiline;  /* ^ is the beginning of any line */
};

struct pattern_literal {
    char *text; /* in lower case; NULL: nothing is known */
    size_t len;
    bool at_start; /* what matches begins with it, at the beginning of the subject */
};

/* In doubt there is no literal. Ends with free(literal->text). */
void pattern_literal_find(const char *pattern, struct pattern_dialect dialect, struct pattern_literal *literal);
/* False: the expression does not match. folded: the subject in lower case. */
bool pattern_literal_allows(const struct pattern_literal *literal, struct slice folded);

#endif
