/* SPDX-License-Identifier: ISC */
/*
 * store: keys, values and times of expiry in one LMDB environment. Called by the state role, which holds the right to write
 * in the file's directory. Two tables: "entries" (store NUL key -> expiry, number, value) and "ages" (store NUL expiry
 * number -> key), so that what expires first is found at once when a store is full. LMDB's copy-on-write with a synced
 * commit means that a crash leaves the last commit; a file that somebody else spoiled is STORE_DAMAGED, never trusted.
 */
#include "state/store.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/state/state_protocol.h"

#define MAP_SIZE (sizeof(void *) > 4 ? (size_t)2 << 30 : (size_t)512 << 20) /* address space, not disk */
#define HEADER 16            /* of an entry: expiry and number */
#define BOOKKEEPING 96       /* bytes that an entry takes besides its key and value, about */
#define SWEEP_AT_ONCE 1000   /* expired entries of a store that one commit removes */
#define NAME_ROOM (STATE_STORE_LIMIT + 1)

struct one_store {
    char name[NAME_ROOM];
    size_t count, bytes;
};

struct store {
    MDB_env *env;
    MDB_txn *reader; /* reset between uses: without lock file a reader must not span a commit */
    MDB_txn *writer; /* open while there are updates */
    MDB_dbi entries, ages;
    size_t pending;
    uint64_t number; /* of the next entry: equal expiries differ by it */
    struct one_store stores[STORE_COUNT_LIMIT], saved_stores[STORE_COUNT_LIMIT]; /* saved: as last committed */
    size_t store_count, saved_count;
};

size_t store_bytes_limit = (size_t)32 << 20;

static const char *error_text = "";

const char *store_error(void)
{
    return error_text;
}

/* Which of LMDB's errors mean that the file is bad, and not only the disk or this one request. */
static enum store_status failed(int rc)
{
    error_text = mdb_strerror(rc);
    switch (rc) {
    case ENOSPC: case EDQUOT: case EIO: case ENOMEM: case EFBIG: case EROFS:
        return STORE_FAILED;
    default:
        return STORE_DAMAGED;
    }
}

/* --- keys ------------------------------------------------------------------------------------- */

/* "store NUL tail" */
struct key {
    char bytes[NAME_ROOM + STATE_KEY_LIMIT];
    size_t len;
};

static struct key key_of(const char *name, const void *tail, size_t len)
{
    struct key key;
    size_t name_len = strlen(name);
    memcpy(key.bytes, name, name_len + 1);
    memcpy(key.bytes + name_len + 1, tail, len);
    key.len = name_len + 1 + len;
    return key;
}

static MDB_val key_value(const struct key *key)
{
    return (MDB_val){key->len, (void *)(uintptr_t)key->bytes};
}

/* Big-endian, so that they sort. */
static void put_number(char *out, uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        out[i] = (char)(number & 0xff);
}

static uint64_t get_number(const char *from)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | (unsigned char)from[i];
    return number;
}

/* The name before the NUL; what is behind it is *tail. False: no such key is ours. */
static bool split(const MDB_val *val, char name[NAME_ROOM], struct slice *tail)
{
    const char *data = val->mv_data;
    const char *nul = memchr(data, '\0', val->mv_size < NAME_ROOM ? val->mv_size : NAME_ROOM);
    if (nul == NULL || nul == data)
        return false;
    memcpy(name, data, (size_t)(nul - data) + 1);
    *tail = slice_range(nul + 1, val->mv_size - (size_t)(nul + 1 - data));
    return tail->len > 0 && tail->len <= STATE_KEY_LIMIT;
}

/* --- what each store holds ---------------------------------------------------------------------- */

static struct one_store *find_store(const struct store *store, const char *name)
{
    for (size_t i = 0; i < store->store_count; i++)
        if (strcmp(store->stores[i].name, name) == 0)
            return (struct one_store *)&store->stores[i];
    return NULL;
}

/* NULL: there are too many. */
static struct one_store *make_store(struct store *store, const char *name)
{
    struct one_store *one = find_store(store, name);
    if (one != NULL || store->store_count == STORE_COUNT_LIMIT || strlen(name) >= NAME_ROOM)
        return one;
    one = &store->stores[store->store_count++];
    memcpy(one->name, name, strlen(name) + 1);
    return one;
}

static size_t cost(size_t key_len, size_t value_len)
{
    return key_len + value_len + BOOKKEEPING;
}

static void count_out(struct one_store *one, size_t key_len, size_t value_len)
{
    size_t bytes = cost(key_len, value_len);
    one->count -= one->count > 0 ? 1 : 0;
    one->bytes -= one->bytes > bytes ? bytes : one->bytes;
}

size_t store_count(const struct store *store, const char *name, size_t *bytes)
{
    const struct one_store *one = find_store(store, name);
    if (bytes != NULL)
        *bytes = one != NULL ? one->bytes : 0;
    return one != NULL ? one->count : 0;
}

size_t store_pending(const struct store *store)
{
    return store->pending;
}

/* --- transactions ----------------------------------------------------------------------------------- */

static void save_counts(struct store *store)
{
    memcpy(store->saved_stores, store->stores, sizeof store->stores);
    store->saved_count = store->store_count;
}

static void restore_counts(struct store *store)
{
    memcpy(store->stores, store->saved_stores, sizeof store->stores);
    store->store_count = store->saved_count;
    store->pending = 0;
}

static void drop_writer(struct store *store)
{
    if (store->writer == NULL)
        return;
    mdb_txn_abort(store->writer);
    store->writer = NULL;
    restore_counts(store);
}

static int begin_reading(struct store *store, MDB_txn **txn)
{
    *txn = store->writer;
    if (*txn != NULL)
        return 0;
    mdb_txn_reset(store->reader);
    *txn = store->reader;
    return mdb_txn_renew(store->reader);
}

static int begin_writing(struct store *store)
{
    if (store->writer != NULL)
        return 0;
    mdb_txn_reset(store->reader);
    save_counts(store);
    return mdb_txn_begin(store->env, NULL, 0, &store->writer);
}

/* --- opening ------------------------------------------------------------------------------------------ */

static int count_entries(struct store *store, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    char name[NAME_ROOM];
    struct slice tail;
    int rc = mdb_cursor_open(txn, store->entries, &cursor);
    if (rc != 0)
        return rc;
    for (rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        struct one_store *one = split(&key, name, &tail) ? make_store(store, name) : NULL;
        if (one == NULL || value.mv_size < HEADER || value.mv_size > HEADER + STATE_VALUE_LIMIT) {
            rc = MDB_CORRUPTED;
            break;
        }
        uint64_t number = get_number((const char *)value.mv_data + 8);
        store->number = number >= store->number ? number + 1 : store->number;
        one->count++;
        one->bytes += cost(tail.len, value.mv_size - HEADER);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int check_ages(const struct store *store, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, value, entry;
    char name[NAME_ROOM];
    struct slice tail;
    size_t expected = 0, found = 0;
    int rc = mdb_cursor_open(txn, store->ages, &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, found == 0 ? MDB_FIRST : MDB_NEXT)) == 0) {
        found++;
        if (!split(&key, name, &tail) || tail.len != HEADER || value.mv_size > STATE_KEY_LIMIT)
            rc = MDB_CORRUPTED;
        else {
            struct key of_entry = key_of(name, value.mv_data, value.mv_size);
            MDB_val wanted = key_value(&of_entry);
            rc = mdb_get(txn, store->entries, &wanted, &entry);
            if (rc == 0 && memcmp(entry.mv_data, tail.data, HEADER) != 0)
                rc = MDB_CORRUPTED;
        }
        if (rc != 0)
            break;
    }
    mdb_cursor_close(cursor);
    for (size_t i = 0; i < store->store_count; i++)
        expected += store->stores[i].count;
    return rc == MDB_NOTFOUND && found == expected ? 0 : rc != 0 && rc != MDB_NOTFOUND ? rc : MDB_CORRUPTED;
}

/* A page that is used and lies behind the end of the file would end the process. LMDB itself may leave pages unwritten there,
 * when nothing uses them: so the file is made as long as it says it is, and a page of zeros is an error like any other. */
static int make_whole(const struct store *store, const char *path)
{
    MDB_envinfo info;
    MDB_stat stat_of_env;
    struct stat file;
    int rc = mdb_env_info(store->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(store->env, &stat_of_env);
    if (rc != 0 || stat_of_env.ms_psize == 0 || info.me_last_pgno >= MAP_SIZE / stat_of_env.ms_psize)
        return rc != 0 ? rc : MDB_CORRUPTED;
    off_t size = (off_t)((info.me_last_pgno + 1) * stat_of_env.ms_psize);
    if (stat(path, &file) < 0 || (file.st_size < size && truncate(path, size) < 0))
        return errno;
    return 0;
}

/* The first transaction writes: it makes the tables, and shows that the list of free pages can be used. */
static int make_tables(struct store *store)
{
    MDB_txn *txn = NULL;
    MDB_val key = {5, (void *)(uintptr_t)"check"}, value = {2, (void *)(uintptr_t)"ok"};
    MDB_dbi about = 0;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, "entries", MDB_CREATE, &store->entries);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "ages", MDB_CREATE, &store->ages);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "about", MDB_CREATE, &about);
    if (rc == 0)
        rc = mdb_put(txn, about, &key, &value, 0);
    if (rc == 0)
        rc = count_entries(store, txn);
    if (rc == 0)
        rc = check_ages(store, txn);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int open_environment(struct store *store, const char *path)
{
    int rc = mdb_env_create(&store->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(store->env, MAP_SIZE);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(store->env, 4);
    if (rc == 0)
        rc = mdb_env_open(store->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
    if (rc == 0)
        rc = make_whole(store, path);
    if (rc == 0)
        rc = make_tables(store);
    if (rc == 0)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->reader);
    return rc;
}

enum store_status store_open(const char *path, struct store **store)
{
    *store = mem_alloc(sizeof **store);
    int rc = open_environment(*store, path);
    if (rc == 0)
        return STORE_OK;
    store_close(*store);
    *store = NULL;
    return failed(rc);
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    drop_writer(store);
    if (store->reader != NULL)
        mdb_txn_abort(store->reader);
    if (store->env != NULL)
        mdb_env_close(store->env);
    free(store);
}

/* --- reading and writing -------------------------------------------------------------------------------- */

static int find(struct store *store, const char *name, const char *key, MDB_val *value)
{
    MDB_txn *txn;
    if (strlen(name) >= NAME_ROOM || strlen(key) > STATE_KEY_LIMIT)
        return MDB_NOTFOUND;
    int rc = begin_reading(store, &txn);
    if (rc != 0)
        return rc;
    struct key of_entry = key_of(name, key, strlen(key));
    MDB_val wanted = key_value(&of_entry);
    rc = mdb_get(txn, store->entries, &wanted, value);
    return rc == 0 && value->mv_size < HEADER ? MDB_CORRUPTED : rc;
}

enum store_status store_get(struct store *store, const char *name, const char *key, int64_t now_ms,
                            struct slice *value)
{
    MDB_val found;
    int rc = find(store, name, key, &found);
    if (rc == MDB_NOTFOUND)
        return STORE_NOT_FOUND;
    if (rc != 0)
        return failed(rc);
    if (get_number(found.mv_data) <= (uint64_t)now_ms)
        return STORE_NOT_FOUND;
    *value = slice_range((const char *)found.mv_data + HEADER, found.mv_size - HEADER);
    return STORE_OK;
}

/* Takes one entry out of both tables. MDB_NOTFOUND: there is none. */
static int take_out(struct store *store, struct one_store *one, const char *key)
{
    MDB_val found;
    char age[HEADER];
    int rc = find(store, one->name, key, &found);
    if (rc != 0)
        return rc;
    size_t value_len = found.mv_size - HEADER;
    memcpy(age, found.mv_data, HEADER);
    struct key of_entry = key_of(one->name, key, strlen(key)), of_age = key_of(one->name, age, HEADER);
    MDB_val entry = key_value(&of_entry), by_age = key_value(&of_age);
    rc = mdb_del(store->writer, store->entries, &entry, NULL);
    if (rc == 0)
        rc = mdb_del(store->writer, store->ages, &by_age, NULL);
    if (rc == 0)
        count_out(one, strlen(key), value_len);
    return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc; /* one without the other */
}

/* The key of the entry that expires first. MDB_NOTFOUND: the store is empty. */
static int find_oldest(struct store *store, const struct one_store *one, char key[STATE_KEY_LIMIT + 1], uint64_t *expires)
{
    MDB_cursor *cursor;
    MDB_val found = {strlen(one->name) + 1, (void *)(uintptr_t)one->name}, value;
    int rc = mdb_cursor_open(store->writer, store->ages, &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &found, &value, MDB_SET_RANGE);
    char name[NAME_ROOM];
    struct slice tail;
    if (rc == 0 && (!split(&found, name, &tail) || tail.len != HEADER || value.mv_size > STATE_KEY_LIMIT))
        rc = MDB_CORRUPTED;
    if (rc == 0 && strcmp(name, one->name) != 0)
        rc = MDB_NOTFOUND;
    if (rc == 0) {
        memcpy(key, value.mv_data, value.mv_size);
        key[value.mv_size] = '\0';
        *expires = get_number(tail.data);
    }
    mdb_cursor_close(cursor);
    return rc;
}

/* Removes what expires first until the store has room again. */
static int make_room(struct store *store, struct one_store *one)
{
    char key[STATE_KEY_LIMIT + 1];
    uint64_t expires;
    int rc = 0;
    while (rc == 0 && one->bytes > store_bytes_limit) {
        rc = find_oldest(store, one, key, &expires);
        if (rc == 0)
            rc = take_out(store, one, key);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int put_in(struct store *store, struct one_store *one, const char *key, struct slice value, int64_t expires_ms)
{
    char bytes[HEADER + STATE_VALUE_LIMIT];
    size_t key_len = strlen(key);
    put_number(bytes, (uint64_t)expires_ms);
    put_number(bytes + 8, store->number++);
    memcpy(bytes + HEADER, value.data, value.len);
    struct key of_entry = key_of(one->name, key, key_len), of_age = key_of(one->name, bytes, HEADER);
    MDB_val entry = key_value(&of_entry), by_age = key_value(&of_age);
    MDB_val stored = {HEADER + value.len, bytes}, name = {key_len, (void *)(uintptr_t)key};
    int rc = mdb_put(store->writer, store->entries, &entry, &stored, 0);
    if (rc == 0)
        rc = mdb_put(store->writer, store->ages, &by_age, &name, 0);
    if (rc == 0) {
        one->count++;
        one->bytes += cost(key_len, value.len);
    }
    return rc;
}

/* A failed update leaves a transaction that must not be committed. */
static enum store_status finish(struct store *store, int rc)
{
    if (rc == 0) {
        store->pending++;
        return STORE_OK;
    }
    drop_writer(store);
    return failed(rc);
}

enum store_status store_put(struct store *store, const char *name, const char *key, struct slice value,
                            int64_t expires_ms)
{
    struct one_store *one = make_store(store, name);
    if (one == NULL || value.len > STATE_VALUE_LIMIT || strlen(key) > STATE_KEY_LIMIT || *key == '\0')
        return STORE_NOT_FOUND; /* it will not be found: nobody is to be told more */
    int rc = begin_writing(store);
    if (rc == 0)
        rc = take_out(store, one, key);
    if (rc == 0 || rc == MDB_NOTFOUND)
        rc = put_in(store, one, key, value, expires_ms);
    if (rc == 0)
        rc = make_room(store, one);
    return finish(store, rc);
}

static int sweep(struct store *store, struct one_store *one, int64_t now_ms)
{
    char key[STATE_KEY_LIMIT + 1];
    uint64_t expires;
    int rc = 0;
    for (unsigned i = 0; i < SWEEP_AT_ONCE && rc == 0; i++) {
        rc = find_oldest(store, one, key, &expires);
        if (rc == 0 && expires > (uint64_t)now_ms)
            break;
        if (rc == 0)
            rc = take_out(store, one, key);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum store_status store_commit(struct store *store, int64_t now_ms)
{
    int rc = 0;
    if (store->writer == NULL)
        return STORE_OK;
    for (size_t i = 0; i < store->store_count && rc == 0; i++)
        rc = sweep(store, &store->stores[i], now_ms);
    if (rc != 0)
        return finish(store, rc);
    rc = mdb_txn_commit(store->writer); /* gone, whatever it says */
    store->writer = NULL;
    store->pending = 0;
    if (rc == 0)
        return STORE_OK;
    restore_counts(store);
    return failed(rc);
}
