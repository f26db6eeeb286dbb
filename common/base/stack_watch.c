/* SPDX-License-Identifier: ISC */
/*
 * stack_watch: measures how much of their stacks fibers use, so that the end-to-end tests fail when a change comes near
 * the end of one, long before the guard page does. Called by fiber_stack.c, and by a role that ends, for the fibers that are alive.
 *
 * A fresh mapping is zero, and stacks grow down: the lowest byte that is not zero is the deepest that was written.
 * Numbers are kept by the fiber's name; names beyond the table (a delivery has its queue id) share its last row.
 */
#include "common/base/stack_watch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define MOST_KINDS 32

struct kind {
    char name[32];
    size_t deepest;
    size_t size;
};

struct watched {
    struct fiber_stack *stack;
    LIST_ENTRY(watched) link;
};

static struct {
    bool on;
    bool tells_all;
    struct kind kinds[MOST_KINDS];
    size_t count;
    LIST_HEAD(watched_list, watched) alive;
} watch;

static struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < watch.count; i++)
        if (strcmp(watch.kinds[i].name, name) == 0)
            return &watch.kinds[i];
    return NULL;
}

static struct kind *kind_of(const char *name)
{
    struct kind *kind = find_kind(name);
    if (kind != NULL)
        return kind;
    if (watch.count == MOST_KINDS)
        return &watch.kinds[MOST_KINDS - 1];
    kind = &watch.kinds[watch.count++];
    snprintf(kind->name, sizeof kind->name, "%s", watch.count < MOST_KINDS ? name : "other");
    return kind;
}

void stack_watch_look(const struct fiber_stack *stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uint64_t *bottom = (const uint64_t *)(const void *)((const char *)stack->memory + page);
    const size_t words = (stack->size - page) / sizeof *bottom;
    size_t unused = 0;
    if (!watch.on || !stack->started)
        return;
    while (unused < words && bottom[unused] == 0)
        unused++;
    struct kind *kind = kind_of(stack->name);
    size_t used = (words - unused) * sizeof *bottom;
    if (used <= kind->deepest)
        return;
    kind->deepest = used;
    kind->size = words * sizeof *bottom;
}

void stack_watch_report(void)
{
    struct watched *watched;
    LIST_FOREACH (watched, &watch.alive, link)
        stack_watch_look(watched->stack);
    for (size_t i = 0; i < watch.count; i++) {
        const struct kind *kind = &watch.kinds[i];
        if (kind->deepest > kind->size / 4 * 3)
            log_warning("fiber %s used %zu of the %zu bytes of its stack", kind->name, kind->deepest, kind->size);
        else if (watch.tells_all)
            log_info("fiber %s used %zu of the %zu bytes of its stack", kind->name, kind->deepest, kind->size);
    }
}

bool stack_watch_start(void)
{
    const char *wish = getenv(STACK_WATCH_VARIABLE);
    if (wish == NULL)
        return false;
    watch.on = true;
    watch.tells_all = strcmp(wish, "all") == 0;
    return true;
}

void stack_watch_add(struct fiber_stack *stack)
{
    struct watched *watched = mem_alloc(sizeof *watched);
    watched->stack = stack;
    LIST_INSERT_HEAD(&watch.alive, watched, link);
}

void stack_watch_remove(struct fiber_stack *stack)
{
    struct watched *watched;
    stack_watch_look(stack);
    LIST_FOREACH (watched, &watch.alive, link)
        if (watched->stack == stack) {
            LIST_REMOVE(watched, link);
            free(watched);
            return;
        }
}

size_t stack_watch_deepest(const char *name)
{
    const struct kind *kind = find_kind(name);
    return kind != NULL ? kind->deepest : 0;
}
