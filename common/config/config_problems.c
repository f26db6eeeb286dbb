/* SPDX-License-Identifier: ISC */
/* config_problems: the list of what is wrong in a configuration, in words for the admin. */
#include <stdarg.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/config.h"

void config_problems_add(struct config_problems *problems, struct config_origin where, bool fatal,
                         const char *fmt, ...)
{
    struct str text = STR_EMPTY;
    va_list args;
    va_start(args, fmt);
    str_vprintf(&text, fmt, args);
    va_end(args);
    text_make_printable(text.data, text.len);
    problems->list =
        mem_realloc_array(problems->list, problems->count + 1, sizeof *problems->list);
    /* The origin's file name may die with its configuration: the problem keeps its own. */
    if (where.file != NULL)
        where.file = mem_strdup(where.file);
    problems->list[problems->count++] =
        (struct config_problem){.where = where, .fatal = fatal, .text = str_detach(&text)};
}

void config_problems_free(struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        free((char *)(uintptr_t)problems->list[i].where.file);
        free(problems->list[i].text);
    }
    free(problems->list);
    problems->list = NULL;
    problems->count = 0;
}

void config_problem_describe(const struct config_problem *problem, struct str *text)
{
    if (problem->where.file != NULL && problem->where.line > 0)
        str_printf(text, "%s, line %u: ", problem->where.file, problem->where.line);
    else if (problem->where.file != NULL)
        str_printf(text, "%s: ", problem->where.file);
    str_append(text, problem->text);
}
