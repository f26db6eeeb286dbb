/* SPDX-License-Identifier: ISC */
/* A parameter's list of tables ("hash:/etc/a, pgsql:/etc/b.cf"), asked one after another. */
#ifndef POSTHORN_TABLE_MAPS_H
#define POSTHORN_TABLE_MAPS_H

#include "common/table/table.h"

struct maps;

/* title: the parameter, for warnings (copied). text may be empty: a list that knows nothing. */
struct maps *maps_open(const char *title, const char *text, const struct config *config, unsigned flags);
void maps_close(struct maps *maps);
bool maps_is_empty(const struct maps *maps);
bool maps_may_wait(const struct maps *maps);
const char *maps_title(const struct maps *maps);

/*
 * The first table that knows the key. partial: the key is a part of an address or name, so pattern tables are
 * left out. *value is emptied first. *which (may be NULL) is the spec of the table that answered or failed.
 * An empty value is TABLE_ERROR, as in Postfix: the table should say "not found".
 */
enum table_status maps_find(struct maps *maps, struct slice key, bool partial, struct str *value,
                            const char **which, int64_t deadline) MUST_CHECK;

#endif
