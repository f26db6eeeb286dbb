/* SPDX-License-Identifier: ISC */
/* Every table type's one instance, for table_types.c only. */
#ifndef POSTHORN_TABLE_TABLE_TYPES_H
#define POSTHORN_TABLE_TABLE_TYPES_H

#include "common/table/table.h"

#define TABLE_TYPE(name) extern const struct table_type table_##name;
#include "common/table/table_type_names.def"
#undef TABLE_TYPE

#endif
