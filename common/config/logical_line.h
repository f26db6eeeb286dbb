/* SPDX-License-Identifier: ISC */
/* The line structure that main.cf, master.cf and lookup-table files share. Pure. */
#ifndef POSTHORN_CONFIG_LOGICAL_LINE_H
#define POSTHORN_CONFIG_LOGICAL_LINE_H

#include <stdbool.h>

#include "common/base/str.h"

struct logical_line_reader {
    struct slice rest; /* what has not been read yet */
    unsigned line;     /* physical lines read so far */
};

struct logical_line {
    struct str text;         /* the physical lines joined, without their newlines */
    unsigned first_line;     /* where its text begins, from 1 */
    bool starts_with_space;  /* a continuation of nothing: to be reported and skipped */
    bool has_nul;            /* a NUL byte; the text ends before it */
};

/*
 * Reads the next logical line into LINE (whose text is reused). Blank lines and lines whose first
 * visible character is '#' vanish, also in the middle of a continued line. False at the end.
 */
bool logical_line_next(struct logical_line_reader *reader, struct logical_line *line);

/* Splits "name = value". On failure, *why says what is wrong in Postfix's words. */
bool logical_line_split_setting(struct slice text, struct slice *name, struct slice *value,
                                const char **why);

#endif
