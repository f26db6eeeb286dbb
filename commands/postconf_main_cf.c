/* SPDX-License-Identifier: ISC */
/*
 * postconf_main_cf: shows main.cf parameters and warns about those that nothing uses. Needs to read the
 * configuration directory and nothing else.
 */
#include <stdlib.h>

#include "commands/postconf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/logical_line.h"
#include "common/config/parameter.h"

/* A parameter that can be shown. */
struct shown {
    const char *name;
    const char *fallback; /* of a transport's family: the parameter that holds when it is not set */
    unsigned class;
};

struct shown_list {
    struct arena *arena;
    struct shown *items;
    size_t count, capacity;
};

/* Prints the problems of reading; ends the program when one of them is fatal. */
static void report(struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        struct str text = STR_EMPTY;
        config_problem_describe(&problems->list[i], &text);
        if (problems->list[i].fatal)
            log_fatal("%s", str_text(&text));
        log_warning("%s", str_text(&text));
        str_free(&text);
    }
    config_problems_free(problems);
}

static void apply_overrides(const struct postconf_options *options, struct config *config)
{
    for (size_t i = 0; i < options->override_count; i++) {
        struct slice name, value;
        const char *why;
        struct arena *arena = arena_new();
        if (!logical_line_split_setting(slice_of(options->overrides[i]), &name, &value, &why))
            log_fatal("invalid parameter override: %s: %s", options->overrides[i], why);
        config_set(config, arena_slice(arena, name), arena_slice(arena, value));
        arena_free(arena);
    }
}

struct config *postconf_load_main(const struct postconf_options *options)
{
    struct config_problems problems = {0};
    if (options->defaults)
        return config_new_default();
    struct config *config = config_load(options->directory, &problems);
    report(&problems);
    if (options->directory_given && !config_is_set(config, "config_directory"))
        config_set(config, "config_directory", options->directory);
    apply_overrides(options, config);
    return config;
}

void postconf_load_services(const struct postconf_options *options, bool required,
                            struct service_table *services)
{
    struct config_problems problems = {0};
    bool ok = master_cf_load(options->directory, services, &problems);
    if (!ok && !required)
        problems.list[0].fatal = false;
    for (size_t i = 0; i < problems.count; i++)
        if (problems.list[i].fatal && problems.list[i].where.line > 0)
            log_fatal("file %s: line %u: %s", problems.list[i].where.file,
                      problems.list[i].where.line, problems.list[i].text);
    report(&problems);
}

static void warn_undefined(void *context, const char *name, bool in_master_cf)
{
    const struct postconf_options *options = context;
    log_warning("%s/%s: undefined parameter: %s", options->directory,
                in_master_cf ? "master.cf" : "main.cf", name);
}

void postconf_warn_undefined(const struct postconf_options *options, const struct config *config,
                             const struct service_table *services)
{
    struct config_references *references = config_references_new(config, services);
    config_references_visit_undefined(references, warn_undefined, (void *)(uintptr_t)options);
    config_references_free(references);
}

static void warn_unused_overrides(const struct postconf_options *options,
                                  const struct config_references *references,
                                  const struct service_table *services)
{
    for (size_t i = 0; i < services->count; i++) {
        const struct service *service = &services->services[i];
        for (size_t k = 0; k < service->override_count; k++)
            if (config_override_counts(service, k) &&
                !config_references_use_override(references, service, service->override_names[k]))
                log_warning("%s/master.cf: unused parameter: %s=%s", options->directory,
                            service->override_names[k], service->override_values[k]);
    }
}

void postconf_warn_unused(const struct postconf_options *options, const struct config *config,
                          const struct service_table *services, bool main_too)
{
    struct config_references *references = config_references_new(config, services);
    fflush(stdout);
    for (size_t i = 0; main_too && i < config_count(config); i++) {
        const char *name = config_name_at(config, i);
        if (!config_references_use_main(references, name))
            log_warning("%s/main.cf: unused parameter: %s=%s", options->directory, name,
                        config_raw(config, name));
    }
    warn_unused_overrides(options, references, services);
    config_references_free(references);
}

static void add_shown(struct shown_list *list, struct shown item)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 2048 : list->capacity * 2;
        list->items = mem_realloc_array(list->items, list->capacity, sizeof *list->items);
    }
    list->items[list->count++] = item;
}

static void add_builtin(struct shown_list *list)
{
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *parameter = parameter_at(i);
        if (parameter->status != OBSOLETE && (parameter->roles & FAMILY) == 0)
            add_shown(list, (struct shown){parameter->name, NULL, CLASS_BUILTIN});
    }
}

static void add_families(struct shown_list *list, const struct service_table *services)
{
    for (size_t i = 0; i < services->count; i++) {
        const struct service *service = &services->services[i];
        for (size_t k = 0; parameter_family_suffixes[k] != NULL; k++) {
            const char *suffix = parameter_family_suffixes[k];
            if (config_family_applies(service, suffix))
                add_shown(list,
                          (struct shown){arena_printf(list->arena, "%s%s", service->name, suffix),
                                         parameter_family_fallbacks[k], CLASS_SERVICE});
        }
    }
}

static void add_user_defined(struct shown_list *list, const struct config *config,
                             const struct service_table *services)
{
    struct config_references *references = config_references_new(config, services);
    for (size_t i = 0; i < config_count(config); i++) {
        const char *name = config_name_at(config, i);
        if (config_references_use_main(references, name))
            add_shown(list, (struct shown){name, NULL, CLASS_USER});
    }
    config_references_free(references);
}

/* By name; of one name, the class that was known first. */
static int compare_shown(const void *a, const void *b)
{
    const struct shown *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (int)left->class - (int)right->class;
}

/* "local_destination_recipient_limit" is built in and of the family of "local": it counts as the latter. */
static void remove_duplicates(struct shown_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct shown *last = kept > 0 ? &list->items[kept - 1] : NULL;
        if (last == NULL || strcmp(last->name, list->items[i].name) != 0)
            list->items[kept++] = list->items[i];
        else if (last->class == CLASS_BUILTIN && list->items[i].class == CLASS_SERVICE)
            last->class = CLASS_SERVICE;
    }
    list->count = kept;
}

static void show_value(const struct postconf_options *options, const struct config *config,
                       const struct shown *shown)
{
    struct arena *arena = arena_new();
    const struct parameter *parameter = parameter_find(shown->name);
    const char *value = config_raw(config, shown->name);
    if (value == NULL || (shown->fallback != NULL && !config_is_set(config, shown->name) &&
                          (parameter == NULL || (parameter->roles & FAMILY) != 0)))
        value = arena_printf(arena, "$%s", shown->fallback != NULL ? shown->fallback : "");
    bool raw = parameter != NULL && parameter->type == PARAMETER_RAW;
    if (options->evaluate && !raw && !options->hide_value)
        value = config_expand(config, value, arena);
    if (options->json) {
        postconf_print_json(stdout, shown->name, value);
        arena_free(arena);
        return;
    }
    const char *text = value;
    if (options->hide_value)
        text = shown->name;
    else if (!options->hide_name)
        text = arena_printf(arena, "%s = %s", shown->name, value);
    postconf_print_text(stdout, options->fold, text);
    arena_free(arena);
}

static void show_one(const struct postconf_options *options, const struct config *config,
                     const struct shown *shown)
{
    if (!options->only_set || config_is_set(config, shown->name))
        show_value(options, config, shown);
}

static void show_named(const struct postconf_options *options, const struct config *config,
                       const struct shown_list *list)
{
    for (char **name = options->arguments; *name != NULL; name++) {
        struct shown wanted = {.name = *name};
        const struct shown *found = NULL;
        for (size_t i = 0; i < list->count && found == NULL; i++)
            if (strcmp(list->items[i].name, wanted.name) == 0)
                found = &list->items[i];
        if (found != NULL)
            show_one(options, config, found);
        else
            log_warning("%s: unknown parameter", *name);
    }
}

void postconf_show_main(const struct postconf_options *options)
{
    struct shown_list list = {.arena = arena_new()};
    struct service_table services = {0};
    struct config *config = postconf_load_main(options);
    postconf_load_services(options, false, &services);
    add_builtin(&list);
    add_families(&list, &services);
    if (!options->defaults) {
        postconf_warn_undefined(options, config, &services);
        add_user_defined(&list, config, &services);
    }
    qsort(list.items, list.count, sizeof *list.items, compare_shown);
    remove_duplicates(&list);
    if (options->arguments[0] != NULL)
        show_named(options, config, &list);
    for (size_t i = 0; options->arguments[0] == NULL && i < list.count; i++)
        if ((list.items[i].class & options->classes) != 0)
            show_one(options, config, &list.items[i]);
    if (!options->defaults)
        postconf_warn_unused(options, config, &services, true);
    free(list.items);
    arena_free(list.arena);
    service_table_free(&services);
    config_free(config);
}
