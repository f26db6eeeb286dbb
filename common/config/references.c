/* SPDX-License-Identifier: ISC */
/*
 * references: collects the names that a configuration refers to. Called by config_check and postconf;
 * needs no rights. Cannot fail: a value that cannot be understood refers to nothing.
 */
#include "common/config/references.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/config_internal.h"

struct name {
    const char *text;
    UT_hash_handle hh;
};

struct config_references {
    const struct config *config;
    const struct service_table *services;
    struct arena *arena;
    struct name *by_main;     /* referred to by main.cf, by a default or as a restriction class */
    struct name *by_override; /* referred to by an override of a service that does not set it itself */
    struct name *prefixes;    /* "name" of "pgsql:name": name_user and so on are its settings */
};

/* Where the names of the value being read go. */
struct collector {
    struct config_references *references;
    struct name **set;
    const struct service *service; /* whose override is read; NULL: main.cf */
};

static void add_name(struct config_references *references, struct name **set, struct slice text)
{
    struct name *found;
    HASH_FIND(hh, *set, text.data, text.len, found);
    if (found != NULL)
        return;
    struct name *name = arena_alloc(references->arena, sizeof *name);
    name->text = arena_slice(references->arena, text);
    HASH_ADD_KEYPTR(hh, *set, name->text, text.len, name);
}

static bool has_name(struct name *set, const char *text)
{
    struct name *found;
    HASH_FIND_STR(set, text, found);
    return found != NULL;
}

static bool sets_itself(const struct service *service, struct slice name)
{
    for (size_t i = 0; i < service->override_count; i++)
        if (slice_equal(slice_of(service->override_names[i]), name))
            return true;
    return false;
}

bool config_override_counts(const struct service *service, size_t index)
{
    for (size_t later = index + 1; later < service->override_count; later++)
        if (strcmp(service->override_names[later], service->override_names[index]) == 0)
            return false;
    return true;
}

static void collect_name(void *context, struct slice name)
{
    struct collector *collector = context;
    if (collector->service == NULL || !sets_itself(collector->service, name))
        add_name(collector->references, collector->set, name);
}

static bool is_unevaluated(const struct parameter *parameter)
{
    return parameter != NULL && parameter->type == PARAMETER_RAW;
}

/* "ldap:name": a table whose settings are main.cf parameters that begin with "name_". */
static void collect_table_prefix(struct config_references *references, struct slice item)
{
    static const char *const types[] = {"ldap", "mysql", "pgsql", "sqlite", "memcache"};
    if (slice_starts_with_nocase(item, SLICE("proxy:")))
        item = slice_skip(item, 6);
    const char *colon = memchr(item.data, ':', item.len);
    if (colon == NULL || colon + 1 == item.data + item.len || colon[1] == '/' || colon[1] == '.')
        return;
    struct slice type = slice_range(item.data, (size_t)(colon - item.data));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (slice_equal(type, slice_of(types[i])))
            add_name(references, &references->prefixes, slice_skip(item, type.len + 1));
}

static bool is_in_table(const char *name)
{
    const struct parameter *parameter = parameter_find(name);
    return parameter != NULL && parameter->status != OBSOLETE &&
        (parameter->roles & FAMILY) == 0;
}

/* Tables count only where a parameter of ours names them, not in the admin's own. */
static void collect_value(struct collector *collector, const char *name, const char *value)
{
    struct slice rest = slice_of(value), item;
    const char *fallback;
    evaluate_visit_names(slice_of(value), collect_name, collector);
    if (!is_in_table(name) && !config_is_family_name(name, collector->references->services, &fallback))
        return;
    while (slice_next_token(&rest, ", \t\r\n{}", &item))
        collect_table_prefix(collector->references, item);
}

static void collect_main(struct config_references *references)
{
    struct collector collector = {references, &references->by_main, NULL};
    for (size_t i = 0; i < references->config->count; i++) {
        const struct config_entry *entry = references->config->entries[i];
        if (!is_unevaluated(parameter_find(entry->name)))
            collect_value(&collector, entry->name, entry->value);
    }
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *parameter = parameter_at(i);
        if (parameter->default_text != NULL && !is_unevaluated(parameter))
            collect_value(&collector, parameter->name, parameter->default_text);
    }
}

/* Where the value of smtpd_restriction_classes is looked up: in the same place as the names in it, as Postfix does. */
struct scope {
    const struct config *config;
    const struct service *service; /* NULL: main.cf */
};

static const char *look_up_in_scope(void *context, const char *name)
{
    const struct scope *scope = context;
    if (scope->service == NULL) {
        const struct config_entry *entry = config_find(scope->config, name);
        return entry != NULL ? entry->value : NULL;
    }
    for (size_t i = scope->service->override_count; i > 0; i--)
        if (strcmp(scope->service->override_names[i - 1], name) == 0)
            return scope->service->override_values[i - 1];
    return NULL;
}

/* The classes that main.cf or one service declares. */
static void visit_classes(const struct config *config, const struct service *service,
                          void (*visit)(void *context, struct slice name), void *context)
{
    struct scope scope = {config, service};
    struct evaluate_source source = {look_up_in_scope, &scope};
    const char *value = look_up_in_scope(&scope, "smtpd_restriction_classes");
    struct str classes = STR_EMPTY, ignored = STR_EMPTY;
    if (value != NULL && evaluate_text(&source, slice_of(value), &classes, &ignored)) {
        struct slice rest = str_slice(&classes), class;
        while (slice_next_token(&rest, ", \t\r\n", &class))
            visit(context, class);
    }
    str_free(&classes);
    str_free(&ignored);
}

static void collect_overrides(struct config_references *references)
{
    for (size_t i = 0; references->services != NULL && i < references->services->count; i++) {
        const struct service *service = &references->services->services[i];
        struct collector collector = {references, &references->by_override, service};
        for (size_t k = 0; k < service->override_count; k++)
            if (config_override_counts(service, k) && !is_unevaluated(parameter_find(service->override_names[k])))
                collect_value(&collector, service->override_names[k], service->override_values[k]);
        visit_classes(references->config, service, collect_name, &collector);
    }
}

struct config_references *config_references_new(const struct config *config,
                                                const struct service_table *services)
{
    struct config_references *references = mem_alloc(sizeof *references);
    references->config = config;
    references->services = services;
    references->arena = arena_new();
    collect_main(references);
    collect_overrides(references);
    struct collector classes = {references, &references->by_main, NULL};
    visit_classes(config, NULL, collect_name, &classes);
    return references;
}

void config_references_free(struct config_references *references)
{
    HASH_CLEAR(hh, references->by_main);
    HASH_CLEAR(hh, references->by_override);
    HASH_CLEAR(hh, references->prefixes);
    arena_free(references->arena);
    free(references);
}

bool config_family_applies(const struct service *service, const char *suffix)
{
    static const char *const deliveries[] = {"local", "error", "virtual", "smtp", "lmtp"};
    bool time_limit = strcmp(suffix, "_time_limit") == 0;
    if (strcmp(service->command, "pipe") == 0)
        return true;
    if (strcmp(service->command, "spawn") == 0)
        return time_limit;
    for (size_t i = 0; i < sizeof deliveries / sizeof *deliveries; i++)
        if (strcmp(service->command, deliveries[i]) == 0)
            return !time_limit;
    return false;
}

static bool has_transport(const struct service_table *services, struct slice transport,
                          const char *suffix)
{
    for (size_t i = 0; i < services->count; i++)
        if (slice_equal(slice_of(services->services[i].name), transport) &&
            config_family_applies(&services->services[i], suffix))
            return true;
    return false;
}

/* Several suffixes may fit ("_recipient_limit" ends "_destination_recipient_limit"): any will do. */
bool config_is_family_name(const char *name, const struct service_table *services,
                           const char **fallback)
{
    struct slice text = slice_of(name);
    for (size_t i = 0; parameter_family_suffixes[i] != NULL; i++) {
        struct slice suffix = slice_of(parameter_family_suffixes[i]);
        if (text.len <= suffix.len ||
            !slice_equal(slice_skip(text, text.len - suffix.len), suffix))
            continue;
        struct slice transport = slice_range(text.data, text.len - suffix.len);
        if (services != NULL && !has_transport(services, transport, parameter_family_suffixes[i]))
            continue;
        *fallback = parameter_family_fallbacks[i];
        return true;
    }
    return false;
}

static bool has_table_prefix(const struct config_references *references, const char *name)
{
    for (const char *end = strchr(name, '_'); end != NULL; end = strchr(end + 1, '_')) {
        struct name *found;
        HASH_FIND(hh, references->prefixes, name, (size_t)(end - name), found);
        if (found != NULL)
            return true;
    }
    return false;
}

bool config_references_use_main(const struct config_references *references, const char *name)
{
    const char *fallback;
    return is_in_table(name) || has_name(references->by_main, name) ||
        has_name(references->by_override, name) ||
        config_is_family_name(name, references->services, &fallback) ||
        has_table_prefix(references, name);
}

struct search {
    const char *name;
    bool found;
};

static void match_name(void *context, struct slice name)
{
    struct search *search = context;
    if (slice_equal(name, slice_of(search->name)))
        search->found = true;
}

bool config_references_use_override(const struct config_references *references,
                                    const struct service *service, const char *name)
{
    struct search search = {name, false};
    for (size_t i = 0; i < service->override_count; i++)
        if (config_override_counts(service, i) && !is_unevaluated(parameter_find(service->override_names[i])))
            evaluate_visit_names(slice_of(service->override_values[i]), match_name, &search);
    visit_classes(references->config, service, match_name, &search);
    const char *fallback;
    return search.found || is_in_table(name) || has_name(references->by_main, name) ||
        config_is_family_name(name, references->services, &fallback) ||
        has_table_prefix(references, name) ||
        (has_name(references->by_override, name) && config_is_set(references->config, name));
}

static bool any_service_sets(const struct service_table *services, const char *name)
{
    for (size_t i = 0; services != NULL && i < services->count; i++)
        if (sets_itself(&services->services[i], slice_of(name)))
            return true;
    return false;
}

static void visit_undefined(const struct config_references *references, struct name *set,
                            bool in_master_cf, config_undefined_visitor *visit, void *context)
{
    struct name *name, *next;
    const char *fallback;
    HASH_ITER(hh, set, name, next)
        if (config_lookup(references->config, name->text) == NULL &&
            (in_master_cf || !any_service_sets(references->services, name->text)) &&
            !config_is_family_name(name->text, references->services, &fallback))
            visit(context, name->text, in_master_cf);
}

void config_references_visit_undefined(const struct config_references *references,
                                       config_undefined_visitor *visit, void *context)
{
    visit_undefined(references, references->by_main, false, visit, context);
    visit_undefined(references, references->by_override, true, visit, context);
}
