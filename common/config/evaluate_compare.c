/* SPDX-License-Identifier: ISC */
/*
 * evaluate_compare: the operators of ${{x} OP {y}}. Numbers compare as numbers, anything else as
 * bytes; the suffix "level" (as in "<level") compares compatibility levels such as "3.6". Pure.
 */
#include "common/config/evaluate.h"

enum relation { LESS, LESS_OR_EQUAL, EQUAL, NOT_EQUAL, GREATER_OR_EQUAL, GREATER, NO_RELATION };

static const struct {
    struct slice text;
    enum relation relation;
} operators[] = {
    {SLICE("=="), EQUAL},         {SLICE("!="), NOT_EQUAL}, {SLICE("<="), LESS_OR_EQUAL},
    {SLICE(">="), GREATER_OR_EQUAL}, {SLICE("<"), LESS},    {SLICE(">"), GREATER},
};

static enum relation relation_of(struct slice text)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (slice_equal(operators[i].text, text))
            return operators[i].relation;
    return NO_RELATION;
}

static bool relation_holds(enum relation relation, int order)
{
    switch (relation) {
    case LESS: return order < 0;
    case LESS_OR_EQUAL: return order <= 0;
    case EQUAL: return order == 0;
    case NOT_EQUAL: return order != 0;
    case GREATER_OR_EQUAL: return order >= 0;
    case GREATER: return order > 0;
    case NO_RELATION: break;
    }
    return false;
}

static int compare_numbers(uint64_t left, uint64_t right)
{
    return left < right ? -1 : left > right;
}

static int compare_values(const char *left, const char *right)
{
    uint64_t left_number, right_number;
    if (slice_to_u64(slice_of(left), &left_number) && slice_to_u64(slice_of(right), &right_number))
        return compare_numbers(left_number, right_number);
    return strcmp(left, right);
}

/* "3", "3.6" or "3.6.1" as three numbers; a missing part is zero. */
static bool parse_level(const char *text, uint64_t level[3])
{
    struct slice rest = slice_of(text), part;
    size_t count = 0;
    level[0] = level[1] = level[2] = 0;
    while (slice_next_token(&rest, ".", &part)) {
        if (count == 3 || !slice_to_u64(part, &level[count]))
            return false;
        count++;
    }
    return count > 0;
}

static bool compare_levels(const char *left, const char *right, int *order)
{
    uint64_t a[3], b[3];
    if (!parse_level(left, a) || !parse_level(right, b))
        return false;
    *order = 0;
    for (size_t i = 0; i < 3 && *order == 0; i++)
        *order = compare_numbers(a[i], b[i]);
    return true;
}

bool evaluate_compare(const char *left, struct slice operator_text, const char *right, bool *holds)
{
    static const struct slice suffix = SLICE("level");
    bool by_level = operator_text.len > suffix.len &&
        slice_equal(slice_skip(operator_text, operator_text.len - suffix.len), suffix);
    if (by_level)
        operator_text.len -= suffix.len;
    enum relation relation = relation_of(operator_text);
    if (relation == NO_RELATION)
        return false;
    int order = 0;
    if (by_level) {
        if (!compare_levels(left, right, &order))
            return false;
    } else {
        order = compare_values(left, right);
    }
    *holds = relation_holds(relation, order);
    return true;
}
