/* SPDX-License-Identifier: ISC */
/* What postmap, postalias and newaliases share. */
#ifndef POSTHORN_COMMANDS_POSTMAP_H
#define POSTHORN_COMMANDS_POSTMAP_H

#include "common/table/table_build.h"
#include "common/table/table.h"

struct postmap {
    const char *program;   /* "postmap" */
    bool aliases;          /* source texts are aliases(5) */
    const struct config *config;
    const char *query, *delete; /* -q, -d */
    bool list;             /* -s */
    bool incremental;      /* -i */
    bool headers, body;    /* -h, -b */
    bool mime;             /* -m */
    bool fold;             /* not -f */
    bool rhs_is_file;      /* -F */
    bool keep_root;        /* -o */
    bool default_mode;     /* -p */
    bool include_nul;      /* -N */
    bool only_utf8;        /* not -u */
    bool message_utf8;     /* -U: with -h and -b, too */
    enum text_map_duplicates duplicates;
};

/* Each returns the program's exit status, or ends it with log_fatal. */
int postmap_query(const struct postmap *options, char **specs, size_t count);
int postmap_list(const struct postmap *options, const char *spec);
int postmap_delete(const struct postmap *options, char **specs, size_t count);
void postmap_create(const struct postmap *options, const char *spec);

/* Every key of the message on standard input, for -h and -b. */
void postmap_each_message_key(const struct postmap *options, void (*use)(void *context, struct slice key), void *context);

#endif
