/* SPDX-License-Identifier: ISC */
/*
 * table_types: the list of all lookup table types. A new type is one more file and one more line in
 * table_type_names.def.
 */
#include "common/table/table_types.h"

static const struct table_type *const all_types[] = {
#define TABLE_TYPE(name) &table_##name,
#include "common/table/table_type_names.def"
#undef TABLE_TYPE
    NULL,
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
