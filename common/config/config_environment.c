/* SPDX-License-Identifier: ISC */
/*
 * config_environment: keeps of a program's environment only what import_environment (or, for external
 * commands, export_environment) lists: names, and name=value to set. Called once, early, by programs that
 * strangers or cron may start.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/config_internal.h"

struct variable {
    char *name;
    const char *value; /* NULL: not to be set */
};

/* "NAME" keeps what is there, "NAME=VALUE" replaces it. */
static struct variable variable_of(char *item)
{
    char *equals = strchr(item, '=');
    if (equals == NULL) {
        const char *now = getenv(item);
        return (struct variable){item, now != NULL ? mem_strdup(now) : NULL};
    }
    struct slice name = slice_trim(slice_range(item, (size_t)(equals - item)));
    struct slice value = slice_trim(slice_of(equals + 1));
    char *copy = mem_strndup(value.data, value.len);
    memmove(item, name.data, name.len);
    item[name.len] = '\0';
    return (struct variable){item, copy};
}

void config_restrict_environment(const struct config *config, const char *parameter)
{
    struct arena *arena = arena_new();
    char **items;
    size_t count = config_split_list(config_string(config, parameter), arena, &items);
    struct variable *kept = arena_alloc_array(arena, count + 1, sizeof *kept);
    for (size_t i = 0; i < count; i++)
        kept[i] = variable_of(items[i]);
    if (clearenv() != 0)
        mem_exhausted(0);
    for (size_t i = 0; i < count; i++) {
        if (kept[i].value != NULL && kept[i].name[0] != '\0' && setenv(kept[i].name, kept[i].value, 1) != 0)
            mem_exhausted(0);
        free((char *)(uintptr_t)kept[i].value);
    }
    arena_free(arena);
}
