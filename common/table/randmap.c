/* SPDX-License-Identifier: ISC */
/* randmap:{value, value, ...} -- one of the values, by chance, to every key. Needs no rights. */
#include <stdlib.h>
#include <sys/random.h>

#include "common/base/mem.h"
#include "common/table/table_types.h"

struct randmap {
    struct arena *arena;
    char **values;
    size_t count;
    uint64_t state;
};

static void randmap_close(void *data)
{
    struct randmap *table = data;
    arena_free(table->arena);
    free(table);
}

static void *randmap_open(const char *name, const struct config *config UNUSED, unsigned flags UNUSED, char **error)
{
    struct randmap *table = mem_alloc(sizeof *table);
    struct slice text = slice_trim(slice_of(name));
    table->arena = arena_new();
    if (text.len >= 2 && text.data[0] == '{' && text.data[text.len - 1] == '}')
        table->count = config_split_list(arena_strndup(table->arena, text.data + 1, text.len - 2), table->arena,
                                         &table->values);
    if (table->count == 0) {
        *error = mem_printf("bad syntax: \"randmap:%s\"; need \"randmap:{value...}\"", name);
        randmap_close(table);
        return NULL;
    }
    if (getrandom(&table->state, sizeof table->state, GRND_NONBLOCK) != (ssize_t)sizeof table->state)
        table->state = (uint64_t)(uintptr_t)table;
    table->state |= 1;
    return table;
}

/* xorshift64: evenly spread is all that is asked of it. */
static uint64_t next_number(struct randmap *table)
{
    table->state ^= table->state << 13;
    table->state ^= table->state >> 7;
    table->state ^= table->state << 17;
    return table->state;
}

static enum table_status randmap_find(void *data, struct slice key UNUSED, struct str *value, char **error UNUSED,
                                      int64_t deadline UNUSED)
{
    struct randmap *table = data;
    str_append(value, table->values[next_number(table) % table->count]);
    return TABLE_FOUND;
}

const struct table_type table_randmap = {
    .name = "randmap", .pattern = true, .open = randmap_open, .close = randmap_close, .find = randmap_find,
};
