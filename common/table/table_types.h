/* SPDX-License-Identifier: ISC */
/* Every table type's one instance, for table_types.c only. */
#ifndef POSTHORN_TABLE_TABLE_TYPES_H
#define POSTHORN_TABLE_TABLE_TYPES_H

#include "common/table/table.h"

extern const struct table_type table_btree, table_environ, table_fail, table_hash, table_inline,
    table_lmdb, table_pgsql, table_pipemap, table_sqlite, table_static,
    table_texthash, table_unionmap, table_unix;

#endif
