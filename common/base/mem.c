/* SPDX-License-Identifier: ISC */
/*
 * mem: allocation that either succeeds or ends the process. Used everywhere; holds no rights.
 */
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mem_exhausted(size_t wanted)
{
    char text[96];
    int len = snprintf(text, sizeof text, "panic: out of memory (wanted %zu bytes)\n", wanted);
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0) {
        /* nothing left to tell it to */
    }
    abort();
}

void *mem_alloc(size_t size)
{
    void *data = calloc(1, size > 0 ? size : 1);
    if (data == NULL)
        mem_exhausted(size);
    return data;
}

void *mem_alloc_array(size_t count, size_t size)
{
    void *data = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (data == NULL)
        mem_exhausted(count);
    return data;
}

void *mem_realloc_array(void *old, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        mem_exhausted(SIZE_MAX);
    size_t total = count * size;
    void *data = realloc(old, total > 0 ? total : 1);
    if (data == NULL)
        mem_exhausted(total);
    return data;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        mem_exhausted(0);
    return text;
}

void mem_wipe(void *data, size_t size)
{
    explicit_bzero(data, size);
}
