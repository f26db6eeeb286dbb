/* SPDX-License-Identifier: ISC */
/*
 * One LMDB file that is written once, under another name, and renamed into place: readers see the old table
 * or the new one and need no locks. hash:, btree: and lmdb: read them; they and postmap write them.
 */
#ifndef POSTHORN_TABLE_LMDB_FILE_H
#define POSTHORN_TABLE_LMDB_FILE_H

#include <sys/stat.h>

#include "common/base/str.h"

struct lmdb_file;

/* NULL with *error (malloc'd, "open database /etc/x.lmdb: No such file or directory"). */
struct lmdb_file *lmdb_file_open(const char *path, char **error);
void lmdb_file_close(struct lmdb_file *file);

enum lmdb_status { LMDB_FOUND, LMDB_NOT_FOUND, LMDB_FAILED };
/* The value points into the mapped file: valid until close. On LMDB_FAILED *why is a constant text. */
enum lmdb_status lmdb_file_find(struct lmdb_file *file, struct slice key, struct slice *value,
                                const char **why);
/* All entries in key order; the visitor ends the walk with false. */
bool lmdb_file_walk(struct lmdb_file *file, bool (*visit)(void *context, struct slice key, struct slice value),
                    void *context, const char **why);

struct lmdb_build {
    const char *path;       /* "/etc/x.lmdb" */
    mode_t mode;            /* of the new file, umask not applied */
    uid_t owner;            /* (uid_t)-1: keep the rights we have; otherwise write as this user when root */
    gid_t group;
    bool include_nul;       /* postmap -N */
    const struct timespec *modified; /* the new file's modification time; NULL: now */
    /* Gives the entries one after another; false at the end. */
    bool (*next)(void *context, struct slice *key, struct slice *value);
    void *context;
};

/* False with *error; then the old file is untouched. */
bool lmdb_file_build(const struct lmdb_build *build, char **error) MUST_CHECK;

#endif
