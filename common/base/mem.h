/* SPDX-License-Identifier: ISC */
/* Memory that never fails: running out of it aborts the process, and the supervisor restarts it. */
#ifndef POSTHORN_BASE_MEM_H
#define POSTHORN_BASE_MEM_H

#include <stddef.h>

#include "common/base/status.h"

/* All return zeroed or copied memory that the caller releases with free(). */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_alloc_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc_array(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((malloc, returns_nonnull));

/* Overwrites a secret in a way the compiler may not remove. */
void mem_wipe(void *data, size_t size);

/* Reports that memory ran out and aborts. */
void mem_exhausted(size_t wanted) NORETURN;

#endif
