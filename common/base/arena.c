/* SPDX-License-Identifier: ISC */
/*
 * arena: a chain of blocks from which memory is handed out and never returned singly.
 * The first block is small, so an idle session costs little; later blocks double to a bound.
 */
#include "common/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define ARENA_FIRST_BLOCK 1024
#define ARENA_LARGEST_BLOCK 65536

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;
};

static struct arena_block *arena_block_new(size_t size, struct arena_block *next)
{
    struct arena_block *block = malloc(sizeof *block + size);
    if (block == NULL)
        mem_exhausted(size);
    block->next = next;
    block->size = size;
    block->used = 0;
    return block;
}

static void arena_free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

struct arena *arena_new(void)
{
    return mem_alloc(sizeof(struct arena));
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    arena_free_blocks(arena->blocks);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;
    arena->used = 0;
    if (keep == NULL)
        return;
    arena_free_blocks(keep->next);
    keep->next = NULL;
    keep->used = 0;
    if (keep->size > ARENA_FIRST_BLOCK) {
        free(keep);
        arena->blocks = NULL;
    }
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

static size_t arena_next_block_size(const struct arena *arena, size_t needed)
{
    size_t size = arena->blocks == NULL ? ARENA_FIRST_BLOCK : arena->blocks->size * 2;
    if (size > ARENA_LARGEST_BLOCK)
        size = ARENA_LARGEST_BLOCK;
    return needed > size ? needed : size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t unit = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        mem_exhausted(size);
    size_t rounded = (size + unit - 1) / unit * unit;
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < rounded) {
        block = arena_block_new(arena_next_block_size(arena, rounded), block);
        arena->blocks = block;
    }
    void *data = block->data + block->used;
    block->used += rounded;
    arena->used += rounded;
    return memset(data, 0, rounded);
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        mem_exhausted(SIZE_MAX);
    return arena_alloc(arena, count * size);
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *arena_slice(struct arena *arena, struct slice text)
{
    return arena_strndup(arena, text.data, text.len);
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        mem_exhausted(0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}
