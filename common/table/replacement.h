/* SPDX-License-Identifier: ISC */
/* The result text of a regular expression's rule: literal text, $1, ${1}, $(1), and $$ for a dollar sign. Pure. */
#ifndef POSTHORN_TABLE_REPLACEMENT_H
#define POSTHORN_TABLE_REPLACEMENT_H

#include "common/base/str.h"

struct replacement;

enum replacement_fault {
    REPLACEMENT_GOOD,
    REPLACEMENT_EMPTY_NAME,  /* "$" alone, "${}" */
    REPLACEMENT_TRUNCATED,   /* "${1" */
    REPLACEMENT_NOT_A_NUMBER,
    REPLACEMENT_OUT_OF_RANGE /* "$0" */
};

/* NULL with *fault; *culprit (in text) is the index that is meant. */
struct replacement *replacement_parse(const char *text, enum replacement_fault *fault, struct slice *culprit);
void replacement_free(struct replacement *replacement);
/* The highest index; 0 when there is none. */
unsigned replacement_highest(const struct replacement *replacement);
/* group(context, n) gives what the n-th parentheses matched. */
void replacement_expand(const struct replacement *replacement, struct slice (*group)(const void *context, unsigned n),
                        const void *context, struct str *out);

#endif
