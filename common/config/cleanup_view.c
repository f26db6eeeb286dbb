/* SPDX-License-Identifier: ISC */
/* cleanup_view: carries one cleanup service's view of its parameters under names that no file can set. Pure. */
#include "common/config/cleanup_view.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"

#define PREFIX "cleanup:"
#define PROFILE PREFIX "service"

/* What cleanup(8) reads of the configuration, as far as it has an effect here. */
static const char *const parameters[] = {
    "always_add_missing_headers", "always_bcc", "body_checks",
    "body_checks_size_limit", "canonical_classes", "canonical_maps", "detect_8bit_encoding_header",
    "disable_mime_input_processing", "enable_original_recipient", "header_address_token_limit", "header_checks",
    "header_from_format", "header_size_limit", "hopcount_limit", "line_length_limit", "masquerade_classes",
    "masquerade_domains", "masquerade_exceptions", "message_drop_headers", "message_reject_characters",
    "message_strip_characters", "mime_boundary_length_limit", "mime_header_checks", "mime_nesting_limit",
    "nested_header_checks", "propagate_unmatched_extensions", "recipient_bcc_maps",
    "recipient_canonical_classes", "recipient_canonical_maps", "remote_header_rewrite_domain", "sender_bcc_maps",
    "sender_canonical_classes", "sender_canonical_maps", "strict_7bit_headers", "strict_8bitmime",
    "strict_8bitmime_body", "strict_mime_encoding_domain",
    "undisclosed_recipients_header", "virtual_alias_maps",
    /* These are trivial-rewrite(8)'s: of main.cf, whatever a service overrides. */
    "allow_percent_hack", "append_at_myorigin", "append_dot_mydomain", "mydomain", "myorigin",
    "swap_bangpath",
};
#define PARAMETER_COUNT (sizeof parameters / sizeof parameters[0])
#define OF_MAIN 6 /* at the end */

static const struct service *find_service(const struct service_table *services, const char *name)
{
    for (size_t i = 0; i < services->count; i++)
        if (strcmp(services->services[i].name, name) == 0 && strcmp(services->services[i].command, "cleanup") == 0)
            return &services->services[i];
    return NULL;
}

/* The value was evaluated already: its dollars are dollars. */
static void set_literally(struct config *config, const char *name, const char *value, struct arena *arena)
{
    struct str escaped = STR_EMPTY;
    for (; *value != '\0'; value++) {
        if (*value == '$')
            str_append_char(&escaped, '$');
        str_append_char(&escaped, *value);
    }
    config_set(config, arena_printf(arena, PREFIX "%s", name), str_text(&escaped));
    str_free(&escaped);
}

void cleanup_view_add(struct config *config, const struct config *main, const struct service_table *services)
{
    const struct service *service = find_service(services, config_string(config, "cleanup_service_name"));
    struct config *view = service != NULL ? service_config(service, main) : config_with_overrides(main, NULL, NULL, 0);
    struct arena *arena = arena_new();
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        const char *value = config_string(i + OF_MAIN < PARAMETER_COUNT ? view : main, parameters[i]);
        if (strcmp(value, config_string(config, parameters[i])) != 0)
            set_literally(config, parameters[i], value, arena);
    }
    if (service != NULL && service->override_count > 0)
        config_set(config, PROFILE, service->name);
    arena_free(arena);
    config_free(view);
}

struct config *cleanup_view_take(const struct config *config)
{
    const char *names[PARAMETER_COUNT], *values[PARAMETER_COUNT];
    struct arena *arena = arena_new();
    size_t count = 0;
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        const char *raw = config_raw(config, arena_printf(arena, PREFIX "%s", parameters[i]));
        if (raw == NULL)
            continue;
        names[count] = parameters[i];
        values[count++] = raw;
    }
    struct config *view = config_with_overrides(config, names, values, count);
    arena_free(arena);
    return view;
}

const char *cleanup_view_profile(const struct config *config)
{
    const char *name = config_string_or_null(config, PROFILE);
    return name != NULL ? name : "";
}
