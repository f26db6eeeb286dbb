/* SPDX-License-Identifier: ISC */
/*
 * Files made of a source text, in which a key is found without reading all: LMDB (hash:, btree:, lmdb:) and CDB (cdb:). A file
 * is written once, under another name, and renamed into place: readers see the old table or the new one and need no locks.
 */
#ifndef POSTHORN_TABLE_INDEXED_FILE_H
#define POSTHORN_TABLE_INDEXED_FILE_H

#include <sys/stat.h>

#include "common/base/str.h"

enum indexed_status { INDEXED_FOUND, INDEXED_NOT_FOUND, INDEXED_FAILED };

struct indexed_build {
    const char *path;       /* "/etc/x.lmdb" */
    mode_t mode;            /* of the new file, umask not applied */
    uid_t owner;            /* (uid_t)-1: keep the rights we have; otherwise write as this user when root */
    gid_t group;
    bool include_nul;       /* postmap -N */
    const struct timespec *modified; /* the new file's modification time; NULL: now */
    /* Gives the entries one after another, in NUL-terminated memory; false at the end. */
    bool (*next)(void *context, struct slice *key, struct slice *value);
    void *context;
};

struct indexed_format {
    const char *suffix; /* ".lmdb" */
    /* NULL with *error (malloc'd, "open database /etc/x.lmdb: No such file or directory"). */
    void *(*open)(const char *path, char **error);
    void (*close)(void *file); /* NULL is nothing */
    /* The value points into the mapped file: valid until close. When it fails, *why is a text that stays. */
    enum indexed_status (*find)(void *file, struct slice key, struct slice *value, const char **why);
    /* All entries in the file's order; the visitor ends the walk with false. */
    bool (*walk)(void *file, bool (*visit)(void *context, struct slice key, struct slice value), void *context,
                 const char **why);
    /* Fills a new, empty file. By descriptor, not by name: a directory's owner could exchange the name meanwhile. */
    bool (*write)(int fd, const struct indexed_build *build, char **error);
};

extern const struct indexed_format indexed_lmdb;
#ifdef HAVE_CDB
extern const struct indexed_format indexed_cdb;
#endif

/* What a table type's files are: hash, btree, lmdb, cdb. NULL: the type has none. */
const struct indexed_format *indexed_format_find(struct slice type);

/* Makes build->path. False with *error; then the old file is untouched. */
bool indexed_file_build(const struct indexed_format *format, const struct indexed_build *build, char **error) MUST_CHECK;

#endif
