/* SPDX-License-Identifier: ISC */
/* From a source text to the file that hash:, btree:, lmdb: and cdb: read: for postmap, postalias and for lookup. */
#ifndef POSTHORN_TABLE_TABLE_BUILD_H
#define POSTHORN_TABLE_TABLE_BUILD_H

#include <sys/stat.h>

#include "common/table/indexed_file.h"
#include "common/table/text_map.h"

struct table_source {
    const char *path;           /* "-": standard input */
    enum source_format format;
    bool fold;
    bool rhs_is_file;           /* postmap -F */
    bool only_utf8;
    const char *title;          /* "hash:/etc/x" in warnings about duplicates; NULL: as texthash: words them */
    enum text_map_duplicates duplicates;
};

/* A whole source text; "-" is standard input. False with *error. *st is the file as it was read. */
bool table_text_read(const char *path, struct str *text, struct stat *st, char **error) MUST_CHECK;

/* Adds what a source says. False with *error when it cannot be read; *st is the file as it was read. */
bool table_source_read(const struct table_source *source, struct text_map *map, struct stat *st,
                       char **error) MUST_CHECK;

/* The file that belongs to a source: "/etc/x.lmdb". The caller frees it. */
char *table_built_path(const struct indexed_format *format, const char *source);

struct table_build {
    const struct indexed_format *format;
    const char *source;         /* path without its suffix */
    const struct text_map *map;
    const struct stat *st;      /* of the source: owner, mode and time of the file made from it; or NULL */
    bool as_source_owner;       /* when run by root (not with postmap -o) */
    bool default_mode;          /* 0644 (postmap -p) */
    bool include_nul;
};
bool table_build_write(const struct table_build *build, char **error) MUST_CHECK;

#endif
