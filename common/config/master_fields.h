/* SPDX-License-Identifier: ISC */
/*
 * One master.cf entry as its words, before they mean anything: what postconf prints and edits, and what
 * master_cf.c gives a meaning. Pure.
 */
#ifndef POSTHORN_CONFIG_MASTER_FIELDS_H
#define POSTHORN_CONFIG_MASTER_FIELDS_H

#include "common/base/arena.h"
#include "common/config/logical_line.h"

enum master_column {
    MASTER_NAME,
    MASTER_TYPE,
    MASTER_PRIVATE,
    MASTER_UNPRIVILEGED,
    MASTER_CHROOT,
    MASTER_WAKEUP,
    MASTER_LIMIT,
    MASTER_COMMAND, /* and from here on its arguments */
    MASTER_COLUMNS,
};

struct master_fields {
    char **words; /* in an arena; options split into "-o", "name=value"; braces taken off */
    size_t count;
};

#define MASTER_MAX_WORDS 4096

/*
 * Splits a logical line into words at white space outside { }, and brings options into one form:
 * "-oname=value", "-o { name = value }" and "-vo name=value" all become "-o" "name=value".
 * NULL when all is well; otherwise what is wrong, in the arena.
 */
const char *master_fields_split(struct slice line, struct arena *arena, struct master_fields *fields);

/* Walks the overrides: the index of the first "name=value" word at or after FROM; 0 at the end. */
size_t master_fields_next_option(const struct master_fields *fields, size_t from);
/* The index of the first word after the options. */
size_t master_fields_first_argument(const struct master_fields *fields);

#endif
