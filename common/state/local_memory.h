/* SPDX-License-Identifier: ISC */
/*
 * What a process keeps in its own memory while `state` is away: the same keys and values, for as long as the process lives, at most
 * LOCAL_MEMORY_LIMIT of them; the oldest makes room.
 */
#ifndef POSTHORN_STATE_LOCAL_MEMORY_H
#define POSTHORN_STATE_LOCAL_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

#define LOCAL_MEMORY_LIMIT 10000 /* entries: about 5 MB */

/* *value is good until the next call. Times are wall-clock milliseconds. */
bool local_memory_get(const char *store, const char *key, struct slice *value) MUST_CHECK;
void local_memory_put(const char *store, const char *key, struct slice value, int64_t expires_ms);
bool local_memory_is_empty(void) MUST_CHECK;

#endif
