/* SPDX-License-Identifier: ISC */
/* table_types: the list of all lookup table types. A new type is one more file and one more line here. */
#include "common/table/table_types.h"

static const struct table_type *const all_types[] = {
    &table_btree, &table_environ, &table_fail, &table_hash, &table_inline, &table_lmdb,
    &table_pgsql, &table_pipemap, &table_sqlite, &table_static, &table_texthash,
    &table_unionmap, &table_unix, NULL,
};

const struct table_type *const *table_types(void)
{
    return all_types;
}

const struct table_type *table_type_find(struct slice name)
{
    for (const struct table_type *const *type = all_types; *type != NULL; type++)
        if (slice_equal(slice_of((*type)->name), name))
            return *type;
    return NULL;
}
