/* SPDX-License-Identifier: ISC */
/* replacement: parsed once when a table is read, expanded at each match. Called by regex_rules.c. */
#include "common/table/replacement.h"

#include <stdlib.h>

#include "common/base/mem.h"

struct replacement_part {
    unsigned group;      /* 0: literal text */
    struct slice literal; /* in replacement.literals */
};

struct replacement {
    char *literals;
    struct replacement_part *parts;
    size_t count;
    unsigned highest;
};

#define MAX_GROUP 2147483647U /* far more than a pattern can have */

static bool is_name_char(char c)
{
    return text_is_alnum(c) || c == '_';
}

/* The length of what stands in the pair of brackets that the text begins with; false when it does not end. */
static bool bracketed_length(const char *text, char open, char close, size_t *len)
{
    unsigned depth = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == open)
            depth++;
        else if (text[i] == close && --depth == 0) {
            *len = i - 1;
            return true;
        }
    }
    return false;
}

/* What follows a single "$"; *text moves behind it. */
static enum replacement_fault take_name(const char **text, struct slice *name)
{
    const char *at = *text;
    size_t len = 0;
    if (*at == '{' || *at == '(') {
        if (!bracketed_length(at, *at, *at == '{' ? '}' : ')', &len))
            return REPLACEMENT_TRUNCATED;
        *name = slice_range(at + 1, len);
        *text = at + len + 2;
    } else {
        while (is_name_char(at[len]))
            len++;
        *name = slice_range(at, len);
        *text = at + len;
    }
    return len == 0 ? REPLACEMENT_EMPTY_NAME : REPLACEMENT_GOOD;
}

static enum replacement_fault name_to_group(struct slice name, unsigned *group)
{
    uint64_t number;
    for (size_t i = 0; i < name.len; i++)
        if (!text_is_digit(name.data[i]))
            return REPLACEMENT_NOT_A_NUMBER;
    if (!slice_to_u64(name, &number) || number > MAX_GROUP)
        number = MAX_GROUP;
    if (number < 1)
        return REPLACEMENT_OUT_OF_RANGE;
    *group = (unsigned)number;
    return REPLACEMENT_GOOD;
}

static struct replacement_part *add_part(struct replacement *replacement)
{
    replacement->parts = mem_realloc_array(replacement->parts, replacement->count + 1, sizeof *replacement->parts);
    struct replacement_part *part = &replacement->parts[replacement->count++];
    *part = (struct replacement_part){0};
    return part;
}

struct replacement *replacement_parse(const char *text, enum replacement_fault *fault, struct slice *culprit)
{
    struct replacement *replacement = mem_alloc(sizeof *replacement);
    struct replacement_part *literal = NULL;
    char *end = replacement->literals = mem_alloc(strlen(text) + 1);
    *fault = REPLACEMENT_GOOD;
    *culprit = slice_of("");
    while (*text != '\0' && *fault == REPLACEMENT_GOOD) {
        if (text[0] != '$' || text[1] == '$') {
            if (literal == NULL) {
                literal = add_part(replacement);
                literal->literal.data = end;
            }
            literal->literal.len++;
            *end++ = *text;
            text += text[0] == '$' ? 2 : 1;
            continue;
        }
        unsigned group = 0;
        text++;
        *fault = take_name(&text, culprit);
        if (*fault == REPLACEMENT_GOOD)
            *fault = name_to_group(*culprit, &group);
        add_part(replacement)->group = group;
        literal = NULL;
        if (group > replacement->highest)
            replacement->highest = group;
    }
    if (*fault == REPLACEMENT_GOOD)
        return replacement;
    replacement_free(replacement);
    return NULL;
}

void replacement_free(struct replacement *replacement)
{
    if (replacement == NULL)
        return;
    free(replacement->parts);
    free(replacement->literals);
    free(replacement);
}

unsigned replacement_highest(const struct replacement *replacement)
{
    return replacement->highest;
}

void replacement_expand(const struct replacement *replacement, struct slice (*group)(const void *context, unsigned n),
                        const void *context, struct str *out)
{
    for (size_t i = 0; i < replacement->count; i++) {
        const struct replacement_part *part = &replacement->parts[i];
        str_append_slice(out, part->group == 0 ? part->literal : group(context, part->group));
    }
}
