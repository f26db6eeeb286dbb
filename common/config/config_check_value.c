/* SPDX-License-Identifier: ISC */
/*
 * config_check_value: whether an evaluated value is of its parameter's type and within its bounds.
 * Pure. The words are Postfix's, because people search for them.
 */
#include <limits.h>

#include "common/config/config_internal.h"

static bool check_bounds(const struct parameter *parameter, int64_t value, struct str *why)
{
    if (parameter->min != 0 && value < parameter->min) {
        str_printf(why, "invalid %s: %lld (min %lld)", parameter->name, (long long)value,
                   (long long)parameter->min);
        return false;
    }
    if (parameter->max != 0 && value > parameter->max) {
        str_printf(why, "invalid %s: %lld (max %lld)", parameter->name, (long long)value,
                   (long long)parameter->max);
        return false;
    }
    return true;
}

static bool check_number(const struct parameter *parameter, const char *value, struct str *why)
{
    int64_t number;
    bool ok = config_parse_int(value, &number);
    if (ok && parameter->type == PARAMETER_INT)
        ok = number >= INT_MIN && number <= INT_MAX;
    if (!ok) {
        str_printf(why, "bad numerical configuration: %s = %s", parameter->name, value);
        return false;
    }
    return check_bounds(parameter, number, why);
}

static bool check_time(const struct parameter *parameter, const char *value, struct str *why)
{
    int64_t seconds;
    if (!config_parse_seconds(value, parameter_time_unit(parameter), &seconds)) {
        str_printf(why, "parameter %s: bad time value or unit: %s", parameter->name, value);
        return false;
    }
    return check_bounds(parameter, seconds, why);
}

static bool check_bool(const struct parameter *parameter, const char *value, struct str *why)
{
    bool ignored;
    if (config_parse_bool(value, &ignored))
        return true;
    str_printf(why, "bad boolean configuration: %s = %s", parameter->name, value);
    return false;
}

static bool check_length(const struct parameter *parameter, const char *value, struct str *why)
{
    size_t len = strlen(value);
    bool too_short = parameter->min > 0 && len < (size_t)parameter->min;
    bool too_long = parameter->max > 0 && len > (size_t)parameter->max;
    if (!too_short && !too_long)
        return true;
    str_printf(why, "bad string length %zu %s %lld: %s = %s", len, too_short ? "<" : ">",
               (long long)(too_short ? parameter->min : parameter->max), parameter->name, value);
    return false;
}

bool config_check_value(const struct parameter *parameter, const char *value, struct str *why)
{
    switch (parameter->type) {
    case PARAMETER_STRING:
    case PARAMETER_RAW: return check_length(parameter, value, why);
    case PARAMETER_BOOL: return check_bool(parameter, value, why);
    case PARAMETER_INT:
    case PARAMETER_LONG: return check_number(parameter, value, why);
    case PARAMETER_TIME: return check_time(parameter, value, why);
    }
    return true;
}
