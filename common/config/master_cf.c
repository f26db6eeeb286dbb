/* SPDX-License-Identifier: ISC */
/*
 * master_cf: gives the words of master.cf's entries their meaning. An entry that cannot be understood is
 * a fatal problem with its line number and is left out. Pure but for master_cf_load, which the supervisor
 * and the commands call.
 */
#include "common/config/master_cf.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/main_cf.h"
#include "common/config/master_fields.h"

static const char *const type_names[] = {
    [SERVICE_INET] = "inet", [SERVICE_UNIX] = "unix",             [SERVICE_FIFO] = "fifo",
    [SERVICE_PASS] = "pass", [SERVICE_UNIX_DGRAM] = "unix-dgram",
};

/* One entry being read. */
struct entry {
    struct service *service;
    struct config_problems *problems;
    struct config_origin where;
    bool ok;
};

static void reject(struct entry *entry, const char *what, const char *value)
{
    if (entry->ok)
        config_problems_add(entry->problems, entry->where, true, "%s: %s", what, value);
    entry->ok = false;
}

static enum service_type read_type(struct entry *entry, const char *word)
{
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++)
        if (strcmp(word, type_names[i]) == 0)
            return (enum service_type)i;
    reject(entry, "bad transport type", word);
    return SERVICE_UNIX;
}

static bool read_flag(struct entry *entry, const char *column, const char *word, bool if_dash)
{
    if (strcmp(word, "-") == 0)
        return if_dash;
    if (strcmp(word, "y") != 0 && strcmp(word, "n") != 0)
        reject(entry, column, word);
    return word[0] == 'y';
}

static int read_number(struct entry *entry, const char *column, const char *word, size_t len,
                       int if_dash)
{
    uint64_t number;
    if (strcmp(word, "-") == 0)
        return if_dash;
    if (!slice_to_u64(slice_range(word, len), &number) || number > INT_MAX) {
        reject(entry, column, word);
        return if_dash;
    }
    return (int)number;
}

static void read_wakeup(struct entry *entry, const char *word)
{
    size_t len = strlen(word);
    bool only_if_used = len > 1 && word[len - 1] == '?';
    entry->service->wakeup_only_if_used = only_if_used;
    entry->service->wakeup_seconds =
        read_number(entry, "bad wakeup time", word, only_if_used ? len - 1 : len, 0);
}

static void read_columns(struct entry *entry, const struct master_fields *fields)
{
    struct service *service = entry->service;
    service->name = mem_strdup(fields->words[MASTER_NAME]);
    service->type = read_type(entry, fields->words[MASTER_TYPE]);
    service->is_private =
        read_flag(entry, "bad \"private\" column", fields->words[MASTER_PRIVATE], true);
    if (service->type == SERVICE_INET && service->is_private)
        reject(entry, "inet service cannot be private", service->name);
    service->is_unprivileged =
        read_flag(entry, "bad \"unprivileged\" column", fields->words[MASTER_UNPRIVILEGED], true);
    service->wants_chroot =
        read_flag(entry, "bad \"chroot\" column", fields->words[MASTER_CHROOT], false);
    read_wakeup(entry, fields->words[MASTER_WAKEUP]);
    const char *limit = fields->words[MASTER_LIMIT];
    service->process_limit = read_number(entry, "bad process limit", limit, strlen(limit), -1);
    service->command = mem_strdup(fields->words[MASTER_COMMAND]);
    if (strchr(service->command, '/') != NULL || service->command[0] == '.')
        reject(entry, "the command must be a plain name", service->command);
}

static void add_override(struct entry *entry, const char *setting)
{
    struct service *service = entry->service;
    struct slice name, value;
    const char *why;
    if (!logical_line_split_setting(slice_of(setting), &name, &value, &why)) {
        reject(entry, why, setting);
        return;
    }
    service->override_names[service->override_count] = mem_strndup(name.data, name.len);
    service->override_values[service->override_count] = mem_strndup(value.data, value.len);
    service->override_count++;
}

/* Options other than -o ("-v", "-D") stay arguments. */
static void read_arguments(struct entry *entry, const struct master_fields *fields)
{
    struct service *service = entry->service;
    size_t most = fields->count - MASTER_COLUMNS + 1;
    service->override_names = mem_alloc_array(most, sizeof *service->override_names);
    service->override_values = mem_alloc_array(most, sizeof *service->override_values);
    service->arguments = mem_alloc_array(most, sizeof *service->arguments);
    size_t first = master_fields_first_argument(fields);
    for (size_t i = MASTER_COLUMNS; i < fields->count; i++) {
        if (i < first && strcmp(fields->words[i], "-o") == 0)
            add_override(entry, fields->words[++i]);
        else
            service->arguments[service->argument_count++] = mem_strdup(fields->words[i]);
    }
}

static void service_free(struct service *service)
{
    free(service->name);
    free(service->command);
    for (size_t i = 0; i < service->argument_count; i++)
        free(service->arguments[i]);
    free(service->arguments);
    for (size_t i = 0; i < service->override_count; i++) {
        free(service->override_names[i]);
        free(service->override_values[i]);
    }
    free(service->override_names);
    free(service->override_values);
    free((char *)(uintptr_t)service->where.file);
}

static void append_service(struct service_table *table, const struct service *service)
{
    table->services =
        mem_realloc_array(table->services, table->count + 1, sizeof *table->services);
    table->services[table->count++] = *service;
}

static struct service *find_service(const struct service_table *table, const struct service *wanted)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->services[i].type == wanted->type &&
            strcmp(table->services[i].name, wanted->name) == 0)
            return &table->services[i];
    return NULL;
}

/* A later entry for the same name and type replaces the earlier one. */
static void add_service(struct entry *entry, struct service_table *table)
{
    struct service *earlier = find_service(table, entry->service);
    entry->service->where = entry->where;
    if (entry->where.file != NULL)
        entry->service->where.file = mem_strdup(entry->where.file);
    if (earlier == NULL) {
        append_service(table, entry->service);
        return;
    }
    config_problems_add(entry->problems, entry->where, false,
                        "duplicate master.cf entry for service \"%s/%s\" -- using the last entry",
                        entry->service->name, type_names[entry->service->type]);
    service_free(earlier);
    *earlier = *entry->service;
}

static void parse_entry(struct slice text, struct config_origin where, struct service_table *table,
                        struct config_problems *problems)
{
    struct service service = {0};
    struct entry entry = {.service = &service, .problems = problems, .where = where, .ok = true};
    struct master_fields fields;
    struct arena *arena = arena_new();
    const char *problem = master_fields_split(text, arena, &fields);
    if (problem == NULL && fields.count < MASTER_COLUMNS)
        problem = "bad field count";
    if (problem != NULL) {
        config_problems_add(problems, where, true, "%s", problem);
    } else {
        read_columns(&entry, &fields);
        read_arguments(&entry, &fields);
        if (entry.ok)
            add_service(&entry, table);
        else
            service_free(&service);
    }
    arena_free(arena);
}

void master_cf_parse(const char *file, struct slice text, struct service_table *table,
                     struct config_problems *problems)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    while (logical_line_next(&reader, &line)) {
        struct config_origin where = {file, line.first_line};
        if (line.starts_with_space)
            config_problems_add(problems, where, false,
                                "logical line must not start with whitespace: \"%.30s\"",
                                str_text(&line.text));
        else
            parse_entry(str_slice(&line.text), where, table, problems);
    }
    str_free(&line.text);
}

bool master_cf_load(const char *directory, struct service_table *table,
                    struct config_problems *problems)
{
    char *path = mem_printf("%s/master.cf", directory);
    struct str text = STR_EMPTY;
    bool ok = config_read_file(path, &text);
    if (ok)
        master_cf_parse(path, str_slice(&text), table, problems);
    else
        config_problems_add(problems, (struct config_origin){NULL, 0}, true, "open %s: %s", path,
                            strerror(errno));
    str_free(&text);
    free(path);
    return ok;
}

void service_table_free(struct service_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        service_free(&table->services[i]);
    free(table->services);
    table->services = NULL;
    table->count = 0;
}

const char *service_type_name(enum service_type type)
{
    return type_names[type];
}

struct config *service_config(const struct service *service, const struct config *base)
{
    struct config *config =
        config_with_overrides(base, (const char *const *)service->override_names,
                              (const char *const *)service->override_values,
                              service->override_count);
    if (!config_is_set(config, "service_name"))
        config_set(config, "service_name", service->name);
    return config;
}
