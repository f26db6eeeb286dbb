/* SPDX-License-Identifier: ISC */
/* environ:name -- the process's environment. The name after the colon means nothing. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/table_types.h"

static void *environ_open(const char *name, const struct config *config UNUSED, unsigned flags UNUSED,
                          char **error UNUSED)
{
    return mem_strdup(name);
}

static enum table_status environ_find(void *data UNUSED, struct slice key, struct str *value,
                                      char **error UNUSED, int64_t deadline UNUSED)
{
    char *name = mem_strndup(key.data, key.len);
    const char *found = getenv(name);
    free(name);
    if (found == NULL)
        return TABLE_NOT_FOUND;
    str_append(value, found);
    return TABLE_FOUND;
}

const struct table_type table_environ = {
    .name = "environ", .open = environ_open, .close = free, .find = environ_find,
};
