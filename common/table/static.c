/* SPDX-License-Identifier: ISC */
/* static:value and static:{ text with blanks } -- the same answer to every key. Pure. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/table_types.h"

static void *static_open(const char *name, const struct config *config UNUSED, unsigned flags UNUSED,
                         char **error)
{
    struct slice text = slice_of(name);
    if (text.len == 0 || text.data[0] != '{')
        return mem_strdup(name);
    const char *end = memrchr(text.data, '}', text.len);
    if (end == NULL) {
        *error = mem_printf("bad static:name syntax: missing '}' in \"%s\"", name);
        return NULL;
    }
    size_t len = (size_t)(end - text.data);
    if (slice_trim(slice_skip(text, len + 1)).len > 0) {
        *error = mem_printf("bad static:name syntax: syntax error after '}' in \"%s\"", name);
        return NULL;
    }
    struct slice value = slice_trim(slice_range(text.data + 1, len - 1));
    return mem_strndup(value.data, value.len);
}

static enum table_status static_find(void *data, struct slice key UNUSED, struct str *value,
                                     char **error UNUSED, int64_t deadline UNUSED)
{
    str_append(value, data);
    return TABLE_FOUND;
}

const struct table_type table_static = {
    .name = "static", .open = static_open, .close = free, .find = static_find,
};
