/* SPDX-License-Identifier: ISC */
/*
 * parameter: the table of parameters.def and the look-up in it. Read-only after the first call, which
 * sorts an index. Used by the configuration, postconf and the manual page's generator.
 */
#include "common/config/parameter.h"

#include <stdlib.h>
#include <string.h>

#define SYSTEM_DEFAULT NULL
/* The Postfix release whose parameters these are: what scripts that ask mail_version compare. */
#define POSTHORN_COMPATIBLE_VERSION "3.11.0"
#define POSTHORN_RELEASE_DATE "20261121"
#define PARAMETER(name, type, default_text, min, max, status, roles, meaning) \
    {#name, PARAMETER_##type, default_text, min, max, status, roles, meaning},

static const struct parameter table[] = {
#include "common/config/parameters.def"
#include "common/config/parameters_posthorn.def"
};

#define PARAMETER_COUNT (sizeof table / sizeof *table)

const char *const parameter_family_suffixes[] = {
    "_delivery_slot_cost",
    "_delivery_slot_discount",
    "_delivery_slot_loan",
    "_destination_concurrency_failed_cohort_limit",
    "_destination_concurrency_limit",
    "_destination_concurrency_negative_feedback",
    "_destination_concurrency_positive_feedback",
    "_destination_rate_delay",
    "_destination_recipient_limit",
    "_extra_recipient_limit",
    "_initial_destination_concurrency",
    "_minimum_delivery_slots",
    "_recipient_limit",
    "_recipient_refill_delay",
    "_recipient_refill_limit",
    "_time_limit",
    "_transport_rate_delay",
    NULL,
};

const char *const parameter_family_fallbacks[] = {
    "default_delivery_slot_cost",
    "default_delivery_slot_discount",
    "default_delivery_slot_loan",
    "default_destination_concurrency_failed_cohort_limit",
    "default_destination_concurrency_limit",
    "default_destination_concurrency_negative_feedback",
    "default_destination_concurrency_positive_feedback",
    "default_destination_rate_delay",
    "default_destination_recipient_limit",
    "default_extra_recipient_limit",
    "initial_destination_concurrency",
    "default_minimum_delivery_slots",
    "default_recipient_limit",
    "default_recipient_refill_delay",
    "default_recipient_refill_limit",
    "command_time_limit",
    "default_transport_rate_delay",
    NULL,
};

static const struct parameter *by_name[PARAMETER_COUNT];

static int compare_parameters(const void *a, const void *b)
{
    const struct parameter *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void sort_once(void)
{
    if (by_name[0] != NULL)
        return;
    for (size_t i = 0; i < PARAMETER_COUNT; i++)
        by_name[i] = &table[i];
    qsort(by_name, PARAMETER_COUNT, sizeof *by_name, compare_parameters);
}

static int compare_name(const void *name, const void *element)
{
    const struct parameter *const *parameter = element;
    return strcmp(name, (*parameter)->name);
}

const struct parameter *parameter_find(const char *name)
{
    sort_once();
    const struct parameter **found =
        bsearch(name, by_name, PARAMETER_COUNT, sizeof *by_name, compare_name);
    return found != NULL ? *found : NULL;
}

size_t parameter_count(void)
{
    return PARAMETER_COUNT;
}

const struct parameter *parameter_at(size_t index)
{
    sort_once();
    return by_name[index];
}

const char *parameter_status_text(enum parameter_status status)
{
    switch (status) {
    case WORKS: return NULL;
    case NO_EFFECT: return "has no effect here";
    case FOR_INSTALLERS: return "is a record for packages and scripts";
    case OBSOLETE: return "is an old name";
    case NEEDS_TLS: return "is not supported yet (TLS)";
    case NEEDS_SASL: return "is not supported yet (SASL)";
    case NEEDS_MILTER: return "is not supported yet (milters)";
    case NEEDS_DNS: return "is not supported yet (DNS)";
    case NEEDS_SMTP_CLIENT: return "is not supported yet (delivery by SMTP)";
    case NEEDS_POSTSCREEN: return "is not supported yet (postscreen)";
    case NEEDS_REWRITING: return "is not supported yet (address rewriting)";
    case NEEDS_FILTER: return "is not supported yet (content filters)";
    case NEEDS_LOCAL_DELIVERY: return "is not supported yet (local, pipe and UUCP delivery)";
    case NOT_SUPPORTED: return "is not supported yet";
    }
    return NULL;
}

char parameter_time_unit(const struct parameter *parameter)
{
    size_t len = parameter->default_text != NULL ? strlen(parameter->default_text) : 0;
    char last = len > 0 ? parameter->default_text[len - 1] : 's';
    return strchr("smhdw", last) != NULL ? last : 's';
}

const char *parameter_type_text(enum parameter_type type)
{
    switch (type) {
    case PARAMETER_STRING: return "text";
    case PARAMETER_RAW: return "text that is not evaluated";
    case PARAMETER_BOOL: return "yes or no";
    case PARAMETER_INT: return "number";
    case PARAMETER_LONG: return "large number";
    case PARAMETER_TIME: return "time";
    }
    return "";
}
