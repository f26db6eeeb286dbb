/* SPDX-License-Identifier: ISC */
/*
 * The file behind the server's small memory: one LMDB environment with keys, values and the time each expires, in named
 * stores. Updates gather in one transaction until store_commit(). Times are wall-clock milliseconds.
 */
#ifndef POSTHORN_STATE_STORE_H
#define POSTHORN_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

#define STORE_COUNT_LIMIT 16

struct store;

enum store_status {
    STORE_OK = 0,
    STORE_NOT_FOUND,
    STORE_DAMAGED, /* the file cannot be used any more: store_error() says why */
    STORE_FAILED,  /* the disk could not take it (full, I/O error): what was not committed is lost, the rest is good */
};

/* Bytes that one store may take, keys and bookkeeping included; what expires first makes room. */
extern size_t store_bytes_limit;

/* Opens or creates PATH and reads every entry, so that a damaged file is noticed here. Nobody else may have it open. */
enum store_status store_open(const char *path, struct store **store) MUST_CHECK;
/* Without committing. NULL is allowed. */
void store_close(struct store *store);
/* Of the last call that failed, also store_open(). */
const char *store_error(void);

/* *value points into the file: good until the next call. */
enum store_status store_get(struct store *store, const char *name, const char *key, int64_t now_ms,
                            struct slice *value) MUST_CHECK;
/* Replaces what is there. value must not come from store_get() of the same store. */
enum store_status store_put(struct store *store, const char *name, const char *key, struct slice value,
                            int64_t expires_ms) MUST_CHECK;
/* Removes some of what has expired, and makes everything durable. */
enum store_status store_commit(struct store *store, int64_t now_ms) MUST_CHECK;

/* Updates since the last commit. */
size_t store_pending(const struct store *store);
/* Entries, and the bytes that they count for, of one store. */
size_t store_count(const struct store *store, const char *name, size_t *bytes);

#endif
