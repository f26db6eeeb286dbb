/* SPDX-License-Identifier: ISC */
/*
 * config_values: the getters. A value is evaluated once and kept; asking again costs one hash look-up.
 * A value that cannot be used ends the process with a fatal error, as it does in Postfix: whoever wants to
 * know before calls config_check. A name that the table does not have is our bug.
 */
#include <limits.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/config_internal.h"

const char *config_cache_find(struct config_computed *map, const char *name)
{
    struct config_computed *found;
    HASH_FIND_STR(map, name, found);
    return found != NULL ? found->text : NULL;
}

void config_cache_put(struct config_cache *cache, struct config_computed **map, const char *name,
                      const char *text)
{
    struct config_computed *item = arena_alloc(cache->arena, sizeof *item);
    item->name = arena_strdup(cache->arena, name);
    item->text = arena_strdup(cache->arena, text);
    HASH_ADD_KEYPTR(hh, *map, item->name, strlen(item->name), item);
}

const char *config_lookup(const struct config *config, const char *name)
{
    const struct config_entry *entry = config_find(config, name);
    if (entry != NULL)
        return entry->value;
    const struct parameter *parameter = parameter_find(name);
    if (parameter == NULL)
        return NULL;
    if (parameter->default_text != NULL && strcmp(name, "config_directory") != 0)
        return parameter->default_text;
    return config_system_default(config, name);
}

const char *config_raw(const struct config *config, const char *name)
{
    return config_lookup(config, name);
}

static const char *lookup_for_evaluation(void *context, const char *name)
{
    return config_lookup(context, name);
}

bool config_evaluate_text(const struct config *config, struct slice text, struct str *result,
                          struct str *why)
{
    /* The evaluator only reads; its context pointer serves writers too and so is not const. */
    struct evaluate_source source = {lookup_for_evaluation, (void *)(uintptr_t)config};
    return evaluate_text(&source, text, result, why);
}

static bool is_raw(const char *name)
{
    const struct parameter *parameter = parameter_find(name);
    return parameter != NULL && parameter->type == PARAMETER_RAW;
}

/* Postfix reads the name of the local mail domain from a file when the value is a path. */
static void read_myorigin(const struct config *config, struct str *value)
{
    if (config->received || value->len == 0 || value->data[0] != '/')
        return;
    char *origin = config_read_first_line(value->data);
    if (origin == NULL)
        return;
    str_clear(value);
    str_append(value, origin);
    free(origin);
}

const char *config_try_evaluate(const struct config *config, const char *name, struct str *why)
{
    const char *known = config_cache_find(config->cache->evaluated, name);
    if (known != NULL)
        return known;
    const char *raw = config_lookup(config, name);
    struct str value = STR_EMPTY;
    if (is_raw(name)) {
        str_append(&value, raw);
    } else if (!config_evaluate_text(config, slice_of(raw), &value, why)) {
        str_free(&value);
        return NULL;
    }
    if (strcmp(name, "myorigin") == 0)
        read_myorigin(config, &value);
    config_cache_put(config->cache, &config->cache->evaluated, name, str_text(&value));
    str_free(&value);
    return config_cache_find(config->cache->evaluated, name);
}

static const char *evaluate_or_die(const struct config *config, const char *name)
{
    struct str why = STR_EMPTY;
    const char *value = config_try_evaluate(config, name, &why);
    if (value == NULL)
        log_fatal("parameter %s: %s", name, str_text(&why));
    return value;
}

static const struct parameter *known_parameter(const char *name)
{
    const struct parameter *parameter = parameter_find(name);
    if (parameter == NULL)
        log_panic("configuration parameter %s is not in the table", name);
    return parameter;
}

static void require_type(const struct parameter *parameter, bool ok, const char *asked)
{
    if (!ok)
        log_panic("configuration parameter %s is of type \"%s\" but was asked for as %s",
                     parameter->name, parameter_type_text(parameter->type), asked);
}

static const char *checked_value(const struct config *config, const struct parameter *parameter)
{
    const char *value = evaluate_or_die(config, parameter->name);
    struct str why = STR_EMPTY;
    if (!config_check_value(parameter, value, &why))
        log_fatal("%s", str_text(&why));
    return value;
}

const char *config_string(const struct config *config, const char *name)
{
    const struct parameter *parameter = known_parameter(name);
    return checked_value(config, parameter);
}

bool config_bool(const struct config *config, const char *name)
{
    const struct parameter *parameter = known_parameter(name);
    bool value = false;
    require_type(parameter, parameter->type == PARAMETER_BOOL, "yes or no");
    return config_parse_bool(checked_value(config, parameter), &value) && value;
}

int64_t config_int(const struct config *config, const char *name)
{
    const struct parameter *parameter = known_parameter(name);
    int64_t value = 0;
    require_type(parameter, parameter->type == PARAMETER_INT || parameter->type == PARAMETER_LONG,
                 "a number");
    if (!config_parse_int(checked_value(config, parameter), &value))
        log_panic("parameter %s: a checked number cannot be read", name);
    return value;
}


int64_t config_seconds(const struct config *config, const char *name)
{
    const struct parameter *parameter = known_parameter(name);
    int64_t seconds = 0;
    require_type(parameter, parameter->type == PARAMETER_TIME, "a time");
    if (!config_parse_seconds(checked_value(config, parameter), parameter_time_unit(parameter), &seconds))
        log_panic("parameter %s: a checked time cannot be read", name);
    return seconds;
}

const char *config_string_or_null(const struct config *config, const char *name)
{
    return config_lookup(config, name) == NULL ? NULL : evaluate_or_die(config, name);
}

const char *config_string_if_valid(const struct config *config, const char *name)
{
    struct str ignored = STR_EMPTY;
    const char *value = config_lookup(config, name) == NULL ? NULL : config_try_evaluate(config, name, &ignored);
    str_free(&ignored);
    return value;
}

int64_t config_transport_int(const struct config *config, const char *transport, const char *suffix,
                             const char *fallback)
{
    char *name = mem_printf("%s%s", transport, suffix);
    const char *value = config_string_or_null(config, name);
    int64_t number;
    if (value == NULL)
        number = config_int(config, fallback);
    else if (!config_parse_int(value, &number))
        log_fatal("bad numerical configuration: %s = %s", name, value);
    free(name);
    return number;
}

int64_t config_transport_seconds(const struct config *config, const char *transport,
                                 const char *suffix, const char *fallback)
{
    char *name = mem_printf("%s%s", transport, suffix);
    const char *value = config_string_or_null(config, name);
    int64_t seconds;
    if (value == NULL)
        seconds = config_seconds(config, fallback);
    else if (!config_parse_seconds(value, 's', &seconds))
        log_fatal("parameter %s: bad time value or unit: %s", name, value);
    free(name);
    return seconds;
}

char *config_expand(const struct config *config, const char *text, struct arena *arena)
{
    struct str result = STR_EMPTY, why = STR_EMPTY;
    if (!config_evaluate_text(config, slice_of(text), &result, &why))
        log_fatal("%s", str_text(&why));
    char *copy = arena_slice(arena, str_slice(&result));
    str_free(&result);
    return copy;
}

bool config_parse_bool(const char *text, bool *value)
{
    *value = text_equal_nocase(text, "yes");
    return *value || text_equal_nocase(text, "no");
}

bool config_parse_int(const char *text, int64_t *value)
{
    struct slice digits = slice_of(text);
    bool negative = digits.len > 0 && digits.data[0] == '-';
    uint64_t magnitude;
    if (negative)
        digits = slice_skip(digits, 1);
    if (!slice_to_u64(digits, &magnitude) || magnitude > INT64_MAX)
        return false;
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's': return 1;
    case 'm': return 60;
    case 'h': return 3600;
    case 'd': return 86400;
    case 'w': return 604800;
    }
    return 0;
}

/* As Postfix does, only the unit's first letter counts: "5days" is "5d". */
bool config_parse_seconds(const char *text, char default_unit, int64_t *seconds)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t count;
    int64_t unit = unit_seconds(text[digits] != '\0' ? text[digits] : default_unit);
    if (unit == 0 || !slice_to_u64(slice_range(text, digits), &count) || count > INT_MAX)
        return false;
    int64_t total = (int64_t)count * unit;
    if (total > INT_MAX)
        return false;
    *seconds = total;
    return true;
}
