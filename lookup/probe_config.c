/* SPDX-License-Identifier: ISC */
/* probe_config: "address_verify_default_transport" is what default_transport is for address probes, and so on. Pure. */
#include "lookup/lookup.h"

/* The value is evaluated already: a dollar in it is one. */
static const char *quote_dollars(const char *value, struct arena *arena)
{
    struct str text = STR_EMPTY;
    for (; *value != '\0'; value++)
        str_append(&text, *value == '$' ? "$$" : (char[]){*value, '\0'});
    const char *quoted = arena_slice(arena, str_slice(&text));
    str_free(&text);
    return quoted;
}

const struct config *probe_config(const struct config *config)
{
    static const char *const names[] = {"local_transport", "virtual_transport", "relay_transport", "default_transport",
                                        "relayhost", "transport_maps", "sender_dependent_relayhost_maps",
                                        "sender_dependent_default_transport_maps"};
    const char *changed[sizeof names / sizeof names[0]], *values[sizeof names / sizeof names[0]];
    struct arena *arena = arena_new();
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = config_string(config, arena_printf(arena, "address_verify_%s", names[i]));
        if (strcmp(value, config_string(config, names[i])) == 0)
            continue;
        changed[count] = names[i];
        values[count++] = quote_dollars(value, arena);
    }
    const struct config *own = count > 0 ? config_with_overrides(config, changed, values, count) : config;
    arena_free(arena);
    return own;
}
