/* SPDX-License-Identifier: ISC */
/*
 * lmdb_file: reading and building LMDB files. A file never changes once it has its name, so a reader keeps one
 * read transaction and needs no lock file. Building: a new file that nobody else could have prepared (O_EXCL in
 * the table's directory), with the rights of the source's owner when root runs it, so that somebody who
 * may write into that directory gains nothing by planting links there.
 */
#include "common/table/lmdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/log.h"

#define LMDB_FIRST_MAP_SIZE ((size_t)16 * 1024 * 1024)
#define LMDB_LARGEST_MAP_SIZE ((size_t)64 * 1024 * 1024 * 1024)

struct lmdb_file {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    bool with_nul; /* made by a postmap that stores the NULs */
};

/* --- reading --------------------------------------------------------------------- */

static bool begin_reading(struct lmdb_file *file, int *rc)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    *rc = mdb_txn_begin(file->env, NULL, MDB_RDONLY, &file->txn);
    if (*rc == 0)
        *rc = mdb_dbi_open(file->txn, NULL, 0, &file->dbi);
    if (*rc == 0)
        *rc = mdb_cursor_open(file->txn, file->dbi, &cursor);
    if (*rc != 0)
        return false;
    int first = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    file->with_nul = first == 0 && key.mv_size > 0 && ((const char *)key.mv_data)[key.mv_size - 1] == '\0';
    mdb_cursor_close(cursor);
    *rc = first == MDB_NOTFOUND ? 0 : first;
    return *rc == 0;
}

struct lmdb_file *lmdb_file_open(const char *path, char **error)
{
    struct lmdb_file *file = mem_alloc(sizeof *file);
    int rc = mdb_env_create(&file->env);
    if (rc == 0)
        rc = mdb_env_open(file->env, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0);
    if (rc == 0 && begin_reading(file, &rc))
        return file;
    *error = mem_printf("open database %s: %s", path, mdb_strerror(rc));
    lmdb_file_close(file);
    return NULL;
}

void lmdb_file_close(struct lmdb_file *file)
{
    if (file == NULL)
        return;
    if (file->txn != NULL)
        mdb_txn_abort(file->txn);
    if (file->env != NULL)
        mdb_env_close(file->env);
    free(file);
}

static struct slice without_nul(const struct lmdb_file *file, const MDB_val *value)
{
    size_t len = value->mv_size;
    if (file->with_nul && len > 0 && ((const char *)value->mv_data)[len - 1] == '\0')
        len--;
    return slice_range(value->mv_data, len);
}

enum lmdb_status lmdb_file_find(struct lmdb_file *file, struct slice key, struct slice *value,
                                const char **why)
{
    if (key.len == 0 || key.len >= (size_t)mdb_env_get_maxkeysize(file->env))
        return LMDB_NOT_FOUND; /* no such key can have been stored */
    char with_nul[1024];
    MDB_val wanted = {key.len, (void *)(uintptr_t)key.data}, found;
    if (file->with_nul && key.len < sizeof with_nul) {
        memcpy(with_nul, key.data, key.len);
        with_nul[key.len] = '\0';
        wanted = (MDB_val){key.len + 1, with_nul};
    }
    int rc = mdb_get(file->txn, file->dbi, &wanted, &found);
    if (rc == MDB_NOTFOUND)
        return LMDB_NOT_FOUND;
    if (rc != 0) {
        *why = mdb_strerror(rc);
        return LMDB_FAILED;
    }
    *value = without_nul(file, &found);
    return LMDB_FOUND;
}

bool lmdb_file_walk(struct lmdb_file *file, bool (*visit)(void *context, struct slice key, struct slice value),
                    void *context, const char **why)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(file->txn, file->dbi, &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        while (rc == 0 && visit(context, without_nul(file, &key), without_nul(file, &value)))
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        mdb_cursor_close(cursor);
    }
    if (rc == 0 || rc == MDB_NOTFOUND)
        return true;
    *why = mdb_strerror(rc);
    return false;
}

/* --- building -------------------------------------------------------------------- */

/* Root writes as the source's owner; only effective ids change, and always back. */
static bool become_owner(const struct lmdb_build *build, char **error)
{
    if (build->owner == (uid_t)-1 || build->owner == 0 || geteuid() != 0)
        return true;
    if (setegid(build->group) < 0 || seteuid(build->owner) < 0) {
        *error = mem_printf("cannot become uid %ld: %s", (long)build->owner, strerror(errno));
        return false;
    }
    return true;
}

static void become_root_again(const struct lmdb_build *build)
{
    if (build->owner == (uid_t)-1 || build->owner == 0 || getuid() != 0)
        return;
    if (seteuid(0) < 0 || setegid(getgid()) < 0)
        log_fatal("cannot become root again: %s", strerror(errno));
}

static int put_entry(MDB_txn *txn, MDB_dbi dbi, const struct lmdb_build *build, struct slice key,
                     struct slice value)
{
    /* Both slices come from NUL-terminated memory: -N just counts that byte too. */
    size_t extra = build->include_nul ? 1 : 0;
    MDB_val db_key = {key.len + extra, (void *)(uintptr_t)key.data};
    MDB_val db_value = {value.len + extra, (void *)(uintptr_t)value.data};
    return mdb_put(txn, dbi, &db_key, &db_value, 0);
}

static bool fill(MDB_env *env, const struct lmdb_build *build, char **error)
{
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    struct slice key, value;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    while (rc == 0 && build->next(build->context, &key, &value)) {
        rc = put_entry(txn, dbi, build, key, value);
        if (rc == MDB_BAD_VALSIZE) {
            log_warning("%s: key of %zu bytes is too long -- ignoring this entry", build->path, key.len);
            rc = 0;
        }
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        txn = NULL;
    }
    if (txn != NULL)
        mdb_txn_abort(txn);
    if (rc != 0)
        *error = mem_printf("write database %s: %s", build->path, mdb_strerror(rc));
    return rc == 0;
}

/* By descriptor, not by name: whoever may write into the directory could exchange the name meanwhile. */
static bool write_database(int fd, const struct lmdb_build *build, char **error)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    /* The size is address space, not disk; the file grows as needed. */
    if (rc == 0)
        rc = mdb_env_set_mapsize(env, sizeof(void *) > 4 ? LMDB_LARGEST_MAP_SIZE : LMDB_FIRST_MAP_SIZE);
    if (rc == 0)
        rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
    if (rc != 0)
        *error = mem_printf("open database %s: %s", build->path, mdb_strerror(rc));
    bool ok = rc == 0 && fill(env, build, error);
    if (env != NULL)
        mdb_env_close(env);
    return ok;
}

/* Mode, owner and contents settled and on disk before the name changes. */
static bool settle(int fd, const char *temporary, const struct lmdb_build *build, char **error)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    if (build->modified != NULL)
        times[1] = *build->modified;
    if (fchmod(fd, build->mode) == 0 && futimens(fd, times) == 0 && fsync(fd) == 0 &&
        rename(temporary, build->path) == 0)
        return true;
    *error = mem_printf("rename %s to %s: %s", temporary, build->path, strerror(errno));
    return false;
}

static bool build_temporary(char *temporary, const struct lmdb_build *build, char **error)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        *error = mem_printf("create database %s: %s", build->path, strerror(errno));
        return false;
    }
    bool ok = write_database(fd, build, error) && settle(fd, temporary, build, error);
    if (!ok)
        unlink(temporary);
    if (close(fd) < 0 && ok) {
        *error = mem_printf("close %s: %s", build->path, strerror(errno));
        ok = false;
    }
    return ok;
}

bool lmdb_file_build(const struct lmdb_build *build, char **error)
{
    char *temporary = mem_printf("%s.XXXXXX", build->path);
    bool ok = become_owner(build, error);
    if (ok) {
        ok = build_temporary(temporary, build, error);
        become_root_again(build);
    }
    free(temporary);
    return ok;
}
