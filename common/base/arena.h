/* SPDX-License-Identifier: ISC */
/*
 * Memory with one lifetime: a session's or a transaction's. Allocate freely, release all at once.
 */
#ifndef POSTHORN_BASE_ARENA_H
#define POSTHORN_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "common/base/status.h"
#include "common/base/str.h"

struct arena;

struct arena *arena_new(void);

/* Releases everything allocated from the arena, and the arena. NULL is allowed. */
void arena_free(struct arena *arena);

/* Releases everything allocated from the arena and keeps it for new use. */
void arena_reset(struct arena *arena);

/* Bytes handed out since the last reset; callers that face strangers bound it. */
size_t arena_used(const struct arena *arena);

/* Zeroed memory, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
void *arena_alloc_array(struct arena *arena, size_t count, size_t size) __attribute__((returns_nonnull));

char *arena_strdup(struct arena *arena, const char *text) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *arena, const char *text, size_t len) __attribute__((returns_nonnull));
char *arena_slice(struct arena *arena, struct slice text) __attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3)
    __attribute__((returns_nonnull));

#endif
