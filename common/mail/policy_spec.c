/* SPDX-License-Identifier: ISC */
/* policy_spec: "inet:host:port, timeout=10s, { default_action = 451 4.3.5 later }" to its parts. Pure; fuzzed. */
#include "common/mail/policy_spec.h"

#include <string.h>

#include "common/base/str.h"
#include "common/config/config.h"

/* --- the server ------------------------------------------------------------------------ */

/* A port alone means this host, as in Postfix. */
static const char *inet_endpoint(const char *address, struct arena *arena)
{
    const char *host = strncmp(address, ":", 1) == 0 ? address + 1 : address;
    bool has_host = strchr(host, ':') != NULL;
    return arena_printf(arena, "inet:%s%s", has_host ? "" : "localhost:", host);
}

static const char *read_server(const char *text, struct arena *arena, struct policy_spec *spec)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon[1] == '\0')
        return arena_printf(arena, "need service transport:endpoint instead of \"%s\"", text);
    struct slice transport = slice_range(text, (size_t)(colon - text));
    spec->name = text;
    spec->label = colon + 1;
    if (slice_equal(transport, SLICE("inet")))
        spec->endpoint = inet_endpoint(colon + 1, arena);
    else if (slice_equal(transport, SLICE("unix")) || slice_equal(transport, SLICE("local")))
        spec->endpoint = arena_printf(arena, "unix:%s", colon + 1);
    else
        return arena_printf(arena, "invalid transport name: %.*s in service: %s", SLICE_ARGS(transport), text);
    return NULL;
}

/* --- options --------------------------------------------------------------------------------- */

static const char *read_number(const char *name, const char *text, int64_t least, bool is_time, struct arena *arena,
                               int64_t *number)
{
    uint64_t plain;
    if (is_time) {
        if (!config_parse_seconds(text, 's', number))
            *number = 0;
    } else if (slice_to_u64(slice_of(text), &plain) && plain <= INT32_MAX) {
        *number = (int64_t)plain;
    } else {
        return arena_printf(arena, "bad numerical configuration: %s = %s", name, text);
    }
    if (*number < least)
        return arena_printf(arena, "invalid %s: %lld (min %lld)", name, (long long)*number, (long long)least);
    return NULL;
}

static const char *set_option(const char *name, const char *value, struct arena *arena, struct policy_spec *spec)
{
    const struct { const char *name; int64_t *number; int64_t least; bool is_time; } numbers[] = {
        {"timeout", &spec->timeout, 1, true}, {"max_idle", &spec->max_idle, 1, true},
        {"max_ttl", &spec->max_ttl, 1, true}, {"retry_delay", &spec->retry_delay, 1, true},
        {"request_limit", &spec->request_limit, 0, false}, {"try_limit", &spec->try_limit, 1, false}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(name, numbers[i].name) == 0)
            return read_number(name, value, numbers[i].least, numbers[i].is_time, arena, numbers[i].number);
    if (strcmp(name, "default_action") == 0)
        spec->default_action = value;
    else if (strcmp(name, "policy_context") == 0)
        spec->context = value;
    else
        return arena_printf(arena, "unknown option: \"%s = %s\"", name, value);
    return NULL;
}

static const char *read_option(const char *text, struct arena *arena, struct policy_spec *spec)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return arena_printf(arena, "malformed option: missing '=' after attribute name: \"...%s...\"", text);
    char *name = arena_slice(arena, slice_trim(slice_range(text, (size_t)(equals - text))));
    char *value = arena_slice(arena, slice_trim(slice_of(equals + 1)));
    if (*name == '\0')
        return arena_printf(arena, "malformed option: missing attribute name: \"...%s...\"", text);
    return set_option(name, value, arena, spec);
}

const char *policy_spec_parse(const char *text, struct arena *arena, struct policy_spec *spec)
{
    char **items;
    size_t count = config_split_list(text, arena, &items);
    if (count == 0)
        return "empty policy service: \"{ }\"";
    const char *problem = read_server(items[0], arena, spec);
    if (count > 1)
        spec->name = arena_printf(arena, "{ %s }", text);
    for (size_t i = 1; i < count && problem == NULL; i++)
        problem = read_option(items[i], arena, spec);
    return problem;
}

const char *policy_spec_endpoint(const char *text, struct arena *arena)
{
    struct policy_spec spec = {0};
    char **items;
    size_t count = config_split_list(text, arena, &items);
    return count > 0 && read_server(items[0], arena, &spec) == NULL ? spec.endpoint : NULL;
}

const char *proxy_filter_endpoint(const char *text, struct arena *arena)
{
    struct slice rest = slice_of(text);
    bool is_path = slice_starts_with_nocase(rest, SLICE("unix:"));
    if (is_path || slice_starts_with_nocase(rest, SLICE("inet:")))
        rest = slice_skip(rest, 5);
    if (rest.len == 0)
        return NULL;
    return is_path ? arena_printf(arena, "unix:%.*s", SLICE_ARGS(rest)) : inet_endpoint(arena_slice(arena, rest), arena);
}
