/* SPDX-License-Identifier: ISC */
/*
 * lmdb_file: the format of hash:, btree: and lmdb:. A file never changes once it has its name, so a reader keeps one read
 * transaction and needs no lock file. Called by hash.c and postmap; opens with the rights they have.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/log.h"
#include "common/table/indexed_file.h"

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

static void lmdb_file_close(void *data)
{
    struct lmdb_file *file = data;
    if (file == NULL)
        return;
    if (file->txn != NULL)
        mdb_txn_abort(file->txn);
    if (file->env != NULL)
        mdb_env_close(file->env);
    free(file);
}

static void *lmdb_file_open(const char *path, char **error)
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

static struct slice without_nul(const struct lmdb_file *file, const MDB_val *value)
{
    size_t len = value->mv_size;
    if (file->with_nul && len > 0 && ((const char *)value->mv_data)[len - 1] == '\0')
        len--;
    return slice_range(value->mv_data, len);
}

static enum indexed_status lmdb_file_find(void *data, struct slice key, struct slice *value, const char **why)
{
    struct lmdb_file *file = data;
    if (key.len == 0 || key.len >= (size_t)mdb_env_get_maxkeysize(file->env))
        return INDEXED_NOT_FOUND; /* no such key can have been stored */
    char with_nul[1024];
    MDB_val wanted = {key.len, (void *)(uintptr_t)key.data}, found;
    if (file->with_nul && key.len < sizeof with_nul) {
        memcpy(with_nul, key.data, key.len);
        with_nul[key.len] = '\0';
        wanted = (MDB_val){key.len + 1, with_nul};
    }
    int rc = mdb_get(file->txn, file->dbi, &wanted, &found);
    if (rc == MDB_NOTFOUND)
        return INDEXED_NOT_FOUND;
    if (rc != 0) {
        *why = mdb_strerror(rc);
        return INDEXED_FAILED;
    }
    *value = without_nul(file, &found);
    return INDEXED_FOUND;
}

static bool lmdb_file_walk(void *data, bool (*visit)(void *context, struct slice key, struct slice value), void *context,
                           const char **why)
{
    struct lmdb_file *file = data;
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

static int put_entry(MDB_txn *txn, MDB_dbi dbi, const struct indexed_build *build, struct slice key,
                     struct slice value)
{
    /* Both slices come from NUL-terminated memory: -N just counts that byte too. */
    size_t extra = build->include_nul ? 1 : 0;
    MDB_val db_key = {key.len + extra, (void *)(uintptr_t)key.data};
    MDB_val db_value = {value.len + extra, (void *)(uintptr_t)value.data};
    return mdb_put(txn, dbi, &db_key, &db_value, 0);
}

static bool fill(MDB_env *env, const struct indexed_build *build, char **error)
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

static bool lmdb_file_write(int fd, const struct indexed_build *build, char **error)
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

const struct indexed_format indexed_lmdb = {
    .suffix = ".lmdb", .open = lmdb_file_open, .close = lmdb_file_close, .find = lmdb_file_find, .walk = lmdb_file_walk,
    .write = lmdb_file_write,
};
