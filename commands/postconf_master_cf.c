/* SPDX-License-Identifier: ISC */
/*
 * postconf_master_cf: shows master.cf: whole entries (-M), single fields (-F), the parameters that a
 * service overrides (-P). Needs to read the configuration directory.
 */
#include <errno.h>
#include <stdlib.h>

#include "commands/postconf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/main_cf.h"

struct postconf_entry postconf_parse_entry(struct arena *arena, struct slice text, unsigned line,
                                           const char *where)
{
    struct postconf_entry entry = {.line = line};
    const char *problem = master_fields_split(text, arena, &entry.fields);
    if (problem == NULL && entry.fields.count < MASTER_COLUMNS)
        problem = "bad field count";
    if (problem != NULL && line > 0)
        log_fatal("file %s: line %u: %s", where, line, problem);
    if (problem != NULL)
        log_fatal("%s: \"%s\"", problem, where);
    return entry;
}

static void parse_entries(const char *path, struct slice text, struct postconf_entries *entries)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    while (logical_line_next(&reader, &line)) {
        if (line.starts_with_space) {
            log_warning("%s: logical line must not start with whitespace: \"%.30s%s\"", path,
                        str_text(&line.text), line.text.len > 30 ? "..." : "");
            continue;
        }
        entries->list =
            mem_realloc_array(entries->list, entries->count + 1, sizeof *entries->list);
        entries->list[entries->count++] =
            postconf_parse_entry(entries->arena, str_slice(&line.text), line.first_line, path);
    }
    str_free(&line.text);
}

static void load_entries(const char *directory, struct postconf_entries *entries)
{
    struct str text = STR_EMPTY;
    char *path = mem_printf("%s/master.cf", directory);
    entries->arena = arena_new();
    if (!config_read_file(path, &text))
        log_fatal("open %s: %s", path, strerror(errno));
    parse_entries(path, str_slice(&text), entries);
    str_free(&text);
    free(path);
}

/* The configuration of one service: main.cf, its overrides, and what it knows about itself. */
static struct config *entry_config(const struct config *base, const struct master_fields *fields)
{
    struct config *config = config_with_overrides(base, NULL, NULL, 0);
    for (size_t i = master_fields_next_option(fields, MASTER_COLUMNS); i > 0;
         i = master_fields_next_option(fields, i + 1)) {
        struct slice name, value;
        const char *why;
        struct arena *arena = arena_new();
        if (logical_line_split_setting(slice_of(fields->words[i]), &name, &value, &why))
            config_set(config, arena_slice(arena, name), arena_slice(arena, value));
        arena_free(arena);
    }
    config_set(config, "process_name", fields->words[MASTER_COMMAND]);
    config_set(config, "service_name", fields->words[MASTER_NAME]);
    return config;
}

/* -x: the values of the overrides, evaluated, in place. */
static void evaluate_entry(const struct config *base, struct master_fields *fields,
                           struct arena *arena)
{
    struct config *config = entry_config(base, fields);
    for (size_t i = master_fields_next_option(fields, MASTER_COLUMNS); i > 0;
         i = master_fields_next_option(fields, i + 1))
        fields->words[i] = config_expand(config, fields->words[i], arena);
    config_free(config);
}

static void show_field_as_json(const struct master_fields *fields, size_t column)
{
    char *name = mem_printf("%s/%s/%s", fields->words[MASTER_NAME], fields->words[MASTER_TYPE], postconf_field_names[column]);
    char *value = column == MASTER_COMMAND ? postconf_command_text(fields) : mem_strdup(fields->words[column]);
    postconf_print_json(stdout, name, value);
    free(name);
    free(value);
}

static void show_field(const struct postconf_options *options, const struct master_fields *fields,
                       size_t column)
{
    struct printer printer = {stdout, options->fold, 0};
    const char *value = fields->words[column];
    if (options->json) {
        show_field_as_json(fields, column);
        return;
    }
    if (!options->hide_name) {
        printer_text(&printer, fields->words[MASTER_NAME]);
        printer_text(&printer, "/");
        printer_text(&printer, fields->words[MASTER_TYPE]);
        printer_text(&printer, "/");
        printer_text(&printer, postconf_field_names[column]);
    }
    if (!options->hide_name && !options->hide_value)
        printer_text(&printer, " = ");
    if (!options->hide_value) {
        printer_text(&printer, value);
        if (column == MASTER_COMMAND)
            postconf_print_words(&printer, fields, MASTER_COLUMNS, 1);
    }
    fputc('\n', stdout);
}

static void show_fields(const struct postconf_options *options, const struct master_fields *fields,
                        const char *name)
{
    int column = postconf_field_column(name);
    if (column >= 0)
        show_field(options, fields, (size_t)column);
    for (size_t i = 0; column < 0 && i < MASTER_COLUMNS; i++)
        show_field(options, fields, i);
}

static int compare_text(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;
    return strcmp(*left, *right);
}

static bool same_name(const char *setting, const char *other)
{
    size_t len = strcspn(setting, "=");
    return len == strcspn(other, "=") && strncmp(setting, other, len) == 0;
}

/* The service's "name=value" words; of one name the last; sorted. */
static size_t collect_settings(const struct master_fields *fields, const char **settings)
{
    size_t count = 0;
    for (size_t i = master_fields_next_option(fields, MASTER_COLUMNS); i > 0;
         i = master_fields_next_option(fields, i + 1)) {
        size_t k = 0;
        while (k < count && !same_name(settings[k], fields->words[i]))
            k++;
        settings[k] = fields->words[i];
        if (k == count)
            count++;
    }
    qsort(settings, count, sizeof *settings, compare_text);
    return count;
}

static void show_setting(const struct postconf_options *options, const struct master_fields *fields,
                         const char *setting)
{
    size_t name_len = strcspn(setting, "=");
    const char *value = setting[name_len] == '=' ? setting + name_len + 1 : "";
    struct str text = STR_EMPTY;
    if (options->hide_value || !options->hide_name || options->json)
        str_printf(&text, "%s/%s/%.*s", fields->words[MASTER_NAME], fields->words[MASTER_TYPE],
                   (int)name_len, setting);
    if (!options->hide_value && !options->json)
        str_printf(&text, "%s%s", options->hide_name ? "" : " = ", value);
    if (options->json)
        postconf_print_json(stdout, str_text(&text), value);
    else
        postconf_print_text(stdout, options->fold, str_text(&text));
    str_free(&text);
}

/* True when the service overrides a parameter of that name. */
static bool show_settings(const struct postconf_options *options,
                          const struct master_fields *fields, const char *name)
{
    const char **settings = mem_alloc_array(fields->count, sizeof *settings);
    size_t count = collect_settings(fields, settings);
    bool shown = false;
    for (size_t i = 0; i < count; i++) {
        if (!postconf_is_any(name) && !same_name(settings[i], name))
            continue;
        show_setting(options, fields, settings[i]);
        shown = true;
    }
    free(settings);
    return shown;
}

static bool show_entry(const struct postconf_options *options, const struct master_fields *fields,
                       const char *part)
{
    if (options->subject == SUBJECT_PARAMETERS)
        return show_settings(options, fields, part);
    if (options->subject == SUBJECT_FIELDS)
        show_fields(options, fields, part);
    else if (options->json)
        postconf_print_json_entry(stdout, fields);
    else
        postconf_print_entry(stdout, options->fold, fields);
    return true;
}

static size_t parse_patterns(const struct postconf_options *options, struct arena *arena,
                             struct postconf_pattern **patterns)
{
    static const char *const complaints[] = {
        [SUBJECT_ENTRIES] = "-M option requires service_name[/type]",
        [SUBJECT_FIELDS] = "-F option requires service_name[/type[/field]]",
        [SUBJECT_PARAMETERS] = "-P option requires service_name[/type[/parameter]]",
    };
    size_t count = 0, most = options->subject == SUBJECT_ENTRIES ? 2 : 3;
    while (options->arguments[count] != NULL)
        count++;
    *patterns = arena_alloc_array(arena, count + 1, sizeof **patterns);
    for (size_t i = 0; i < count; i++) {
        if (!postconf_pattern_parse(options->arguments[i], 1, most, arena, &(*patterns)[i]))
            log_fatal("%s", complaints[options->subject]);
        if (options->subject == SUBJECT_FIELDS)
            (void)postconf_field_column((*patterns)[i].parts[2]);
    }
    return count;
}

static void show_entries(const struct postconf_options *options,
                         const struct postconf_entries *entries, struct arena *arena)
{
    struct postconf_pattern *patterns;
    size_t count = parse_patterns(options, arena, &patterns);
    for (size_t i = 0; i < entries->count; i++) {
        const struct master_fields *fields = &entries->list[i].fields;
        if (count == 0)
            show_entry(options, fields, "*");
        for (size_t k = 0; k < count; k++)
            if (postconf_pattern_matches(&patterns[k], fields->words[MASTER_NAME],
                                         fields->words[MASTER_TYPE]) &&
                show_entry(options, fields, patterns[k].parts[2]))
                patterns[k].matches++;
    }
    for (size_t k = 0; k < count; k++)
        if (patterns[k].matches == 0)
            log_warning("unmatched request: \"%s\"", patterns[k].text);
}

void postconf_show_master(const struct postconf_options *options)
{
    struct service_table services = {0};
    struct postconf_entries entries = {0};
    load_entries(options->directory, &entries);
    postconf_load_services(options, true, &services);
    struct config *config = postconf_load_main(options);
    postconf_warn_undefined(options, config, &services);
    for (size_t i = 0; options->evaluate && i < entries.count; i++)
        evaluate_entry(config, &entries.list[i].fields, entries.arena);
    show_entries(options, &entries, entries.arena);
    postconf_warn_unused(options, config, &services, false);
    config_free(config);
    service_table_free(&services);
    free(entries.list);
    arena_free(entries.arena);
}
