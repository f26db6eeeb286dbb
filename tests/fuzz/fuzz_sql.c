/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: query and result templates. Input: template, key and value, separated by newlines. What a stranger
 * wrote must come out quoted: here, without any single quote that the template does not have.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/db_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool drop_quotes(void *context, struct slice text, struct str *out)
{
    (void)context;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\'')
            str_append_char(out, text.data[i]);
    return true;
}

static size_t count_quotes(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\'';
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_range((const char *)data, size), parts[3] = {{0}};
    for (size_t i = 0; i < 3; i++) {
        const char *newline = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;
        parts[i] = slice_range(rest.data, newline != NULL ? (size_t)(newline - rest.data) : rest.len);
        rest = slice_skip(rest, parts[i].len + 1);
    }
    char *template = mem_strndup(parts[0].data != NULL ? parts[0].data : "", parts[0].len);
    struct str out = STR_EMPTY;
    enum db_expansion status =
        db_expand_query(template, db_template_needs(template, false), parts[1], drop_quotes, NULL, &out);
    if (status == DB_EXPANDED && memchr(str_text(&out), '\0', out.len) == NULL &&
        count_quotes(str_text(&out)) > count_quotes(template))
        abort();
    str_clear(&out);
    status = db_expand_result(template, db_template_needs(template, true), parts[2], parts[1], &out);
    str_free(&out);
    free(template);
    return status == DB_UNQUOTABLE ? -1 : 0;
}
