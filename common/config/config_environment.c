/* SPDX-License-Identifier: ISC */
/*
 * config_environment: the environment that import_environment (or, for external commands, export_environment) allows:
 * names to keep, and name=value to set. The supervisor makes each role's with it; programs that strangers or cron may start
 * replace their own, once, early.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/config_internal.h"

struct environment {
    char **list; /* NULL-terminated */
    size_t count;
};

static void add(struct environment *environment, char *text)
{
    environment->list = mem_realloc_array(environment->list, environment->count + 2, sizeof *environment->list);
    environment->list[environment->count++] = text;
    environment->list[environment->count] = NULL;
}

/* "NAME" keeps what is there, "NAME=VALUE" replaces it; NULL when there is nothing to say. */
static char *variable_of(const char *item)
{
    const char *equals = strchr(item, '=');
    if (equals == NULL) {
        const char *now = getenv(item);
        return now != NULL ? mem_printf("%s=%s", item, now) : NULL;
    }
    struct slice name = slice_trim(slice_range(item, (size_t)(equals - item)));
    struct slice value = slice_trim(slice_of(equals + 1));
    return name.len > 0 ? mem_printf("%.*s=%.*s", SLICE_ARGS(name), SLICE_ARGS(value)) : NULL;
}

static bool has_variable(const struct environment *environment, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->list[i], name, len) == 0 && environment->list[i][len] == '=')
            return true;
    return false;
}

char **config_make_environment(const struct config *config, const char *parameter, const char *default_path)
{
    struct environment environment = {mem_alloc_array(1, sizeof *environment.list), 0};
    struct arena *arena = arena_new();
    char **items;
    size_t count = config_split_list(config_string(config, parameter), arena, &items);
    for (size_t i = 0; i < count; i++) {
        char *text = variable_of(items[i]);
        if (text != NULL)
            add(&environment, text);
    }
    if (default_path != NULL && !has_variable(&environment, "PATH"))
        add(&environment, mem_printf("PATH=%s", default_path));
    arena_free(arena);
    return environment.list;
}

void config_free_environment(char **environment)
{
    for (char **text = environment; *text != NULL; text++)
        free(*text);
    free(environment);
}

void config_restrict_environment(const struct config *config, const char *parameter)
{
    char **kept = config_make_environment(config, parameter, NULL);
    if (clearenv() != 0)
        mem_exhausted(0);
    for (char **text = kept; *text != NULL; text++) {
        char *equals = strchr(*text, '=');
        *equals = '\0';
        if (setenv(*text, equals + 1, 1) != 0)
            mem_exhausted(0);
    }
    config_free_environment(kept);
}
