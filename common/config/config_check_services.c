/* SPDX-License-Identifier: ISC */
/*
 * config_check_services: the same judgement as config_check's over the "-o name=value" of master.cf. Called by the supervisor
 * at start: an override that this release would silently ignore ("-o smtpd_milters=...") could let mail pass
 * that the admin meant to be looked at.
 */
#include <string.h>

#include "common/config/config_internal.h"
#include "common/config/references.h"

/* What the other commands of master.cf would read has no reader here; that they do not run is said elsewhere. */
static bool has_reader(const struct service *service)
{
    static const char *const commands[] = {"smtpd", "lmtp", "virtual", "cleanup", "qmgr"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(service->command, commands[i]) == 0)
            return true;
    return false;
}

/* Which users there are is one answer for all services; one may only do without it ("local_recipient_maps="). */
static bool is_for_all_services(const struct service *service, const char *name, const char *value)
{
    static const char *const names[] = {"local_recipient_maps", "relay_recipient_maps", "virtual_mailbox_maps", "virtual_alias_maps"};
    if (strcmp(service->command, "smtpd") != 0 || value[0] == '\0')
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void check_value(const struct config *view, const struct service *service, const struct parameter *parameter,
                        struct config_problems *problems)
{
    struct str why = STR_EMPTY;
    const char *value = config_try_evaluate(view, parameter->name, &why);
    if (value == NULL)
        config_problems_add(problems, service->where, true, "service %s: parameter %s: %s", service->name,
                            parameter->name, str_text(&why));
    else if (!config_check_value(parameter, value, &why))
        config_problems_add(problems, service->where, true, "service %s: %s", service->name, str_text(&why));
    str_free(&why);
}

static void check_overrides(const struct config *config, const struct service *service,
                            const struct config_references *references, struct config_problems *problems)
{
    struct config *view = service_config(service, config);
    for (size_t i = 0; i < service->override_count; i++) {
        const char *name = service->override_names[i], *value = service->override_values[i];
        const struct parameter *parameter = parameter_find(name);
        if (!config_override_counts(service, i))
            continue;
        const char *text = parameter != NULL ? config_unsupported_text(parameter, value) : NULL;
        if (!config_references_use_override(references, service, name))
            config_problems_add(problems, service->where, false, "service %s: unused parameter: %s=%s", service->name, name,
                                value);
        if (text == NULL && is_for_all_services(service, name, value))
            text = "counts only in main.cf";
        if (text != NULL)
            config_problems_add(problems, service->where, false, "service %s: parameter %s %s", service->name, name, text);
        if (parameter != NULL)
            check_value(view, service, parameter, problems);
    }
    config_free(view);
}

void config_check_overrides(const struct config *config, const struct service_table *services,
                            struct config_problems *problems)
{
    struct config_references *references = config_references_new(config, services);
    for (size_t i = 0; i < services->count; i++)
        if (services->services[i].override_count > 0 && has_reader(&services->services[i]))
            check_overrides(config, &services->services[i], references, problems);
    config_references_free(references);
}
