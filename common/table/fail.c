/* SPDX-License-Identifier: ISC */
/* fail:name -- every lookup fails: for tests of what happens when a table is broken. Pure. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/table_types.h"

static void *fail_open(const char *name, const struct config *config UNUSED, unsigned flags UNUSED,
                       char **error UNUSED)
{
    return mem_strdup(name);
}

static enum table_status fail_find(void *data UNUSED, struct slice key UNUSED, struct str *value UNUSED,
                                   char **error UNUSED, int64_t deadline UNUSED)
{
    return TABLE_ERROR;
}

const struct table_type table_fail = {.name = "fail", .open = fail_open, .close = free, .find = fail_find};
