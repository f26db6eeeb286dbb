/* SPDX-License-Identifier: ISC */
/*
 * evaluate_names: lists the names that a value refers to, without evaluating it. Used to tell the
 * admin's own parameters that serve a purpose from misspelt ones. Pure; never fails: what cannot be
 * understood refers to nothing.
 */
#include "common/config/evaluate.h"

static bool is_name_char(char c)
{
    return text_is_alnum(c) || c == '_';
}

/*
 * Every reference begins "$name", "${name" or "$(name", whatever branch it stands in, so one pass
 * over the text finds them all.
 */
void evaluate_visit_names(struct slice text, void (*visit)(void *context, struct slice name),
                          void *context)
{
    size_t i = 0;
    while (i < text.len) {
        if (text.data[i++] != '$' || i == text.len)
            continue;
        if (text.data[i] == '$') {
            i++;
            continue;
        }
        bool enclosed = text.data[i] == '{' || text.data[i] == '(';
        if (enclosed)
            i++;
        while (enclosed && i < text.len && text_is_space(text.data[i]))
            i++;
        size_t start = i;
        while (i < text.len && is_name_char(text.data[i]))
            i++;
        bool is_function = enclosed && i < text.len && text.data[i] == '{';
        if (i > start && !is_function)
            visit(context, slice_range(text.data + start, i - start));
    }
}
