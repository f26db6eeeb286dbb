/* SPDX-License-Identifier: ISC */
/*
 * config_check: tells the admin what is wrong with the settings before a process fails over them:
 * values that cannot be evaluated or are not of their parameter's type, names that nothing uses, and
 * parameters that this release does not support. Called by the supervisor at start and by the commands.
 */
#include "common/config/config_internal.h"
#include "common/config/references.h"

struct check {
    const struct config *config;
    const struct config_references *references;
    struct config_problems *problems;
};

/*
 * An empty value asks for nothing ("alias_maps ="), the default for nothing new, and "no" for nothing of a
 * thing that does not exist here ("biff = no"): none of them deserves a complaint.
 */
const char *config_unsupported_text(const struct parameter *parameter, const char *value)
{
    bool same = parameter->default_text != NULL && strcmp(value, parameter->default_text) == 0;
    bool is_off = parameter->status == NO_EFFECT && parameter->type == PARAMETER_BOOL && text_equal_nocase(value, "no");
    if (value[0] == '\0' || same || is_off || parameter->status == OBSOLETE || parameter->status == FOR_INSTALLERS)
        return NULL;
    return parameter_status_text(parameter->status);
}

static void check_support(const struct check *check, const struct parameter *parameter)
{
    const struct config_entry *entry = config_find(check->config, parameter->name);
    const char *text = config_unsupported_text(parameter, entry->value);
    if (text != NULL)
        config_problems_add(check->problems, entry->where, false, "parameter %s %s",
                            parameter->name, text);
}

static void check_entry(const struct check *check, const struct config_entry *entry)
{
    struct str why = STR_EMPTY;
    const struct parameter *parameter = parameter_find(entry->name);
    const char *value = config_try_evaluate(check->config, entry->name, &why);
    if (!config_references_use_main(check->references, entry->name)) {
        config_problems_add(check->problems, entry->where, false, "unused parameter: %s=%s",
                            entry->name, entry->value);
    } else if (value == NULL) {
        config_problems_add(check->problems, entry->where, true, "parameter %s: %s", entry->name,
                            str_text(&why));
    } else if (parameter != NULL) {
        if (!config_check_value(parameter, value, &why))
            config_problems_add(check->problems, entry->where, true, "%s", str_text(&why));
        check_support(check, parameter);
    }
    str_free(&why);
}

/* A default may fail too: "a = $b" is the default of b's friend, and b is set to nonsense. */
static void check_default(const struct check *check, const struct parameter *parameter)
{
    const struct config_origin nowhere = {NULL, 0};
    const char *text = parameter->default_text;
    if (text == NULL || strchr(text, '$') == NULL || parameter->status == OBSOLETE ||
        config_is_set(check->config, parameter->name))
        return;
    struct str why = STR_EMPTY;
    const char *value = config_try_evaluate(check->config, parameter->name, &why);
    if (value == NULL)
        config_problems_add(check->problems, nowhere, true, "parameter %s: %s", parameter->name,
                            str_text(&why));
    else if (!config_check_value(parameter, value, &why))
        config_problems_add(check->problems, nowhere, true, "%s", str_text(&why));
    str_free(&why);
}

/* "myorigin = /etc/mailname" keeps its path when the file cannot be read. */
static void check_myorigin(const struct check *check)
{
    struct str why = STR_EMPTY;
    const char *origin = config_try_evaluate(check->config, "myorigin", &why);
    if (origin != NULL && origin[0] == '/')
        config_problems_add(check->problems, config_origin(check->config, "myorigin"), true,
                            "parameter myorigin: cannot read a name from the file %s", origin);
    str_free(&why);
}

void config_check_with_services(const struct config *config, const struct service_table *services,
                                struct config_problems *problems)
{
    struct config_references *references = config_references_new(config, services);
    struct check check = {config, references, problems};
    for (size_t i = 0; i < config->count; i++)
        check_entry(&check, config->entries[i]);
    for (size_t i = 0; i < parameter_count(); i++)
        check_default(&check, parameter_at(i));
    check_myorigin(&check);
    config_references_free(references);
}

void config_check(const struct config *config, struct config_problems *problems)
{
    config_check_with_services(config, NULL, problems);
}
