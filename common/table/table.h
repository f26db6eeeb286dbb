/* SPDX-License-Identifier: ISC */
/*
 * Lookup tables: one interface, one file per type (hash.c, pgsql.c, ...). Tables are opened by the lookup
 * role and by commands (postmap); other roles ask lookup (mail/lookup_protocol.h).
 */
#ifndef POSTHORN_TABLE_TABLE_H
#define POSTHORN_TABLE_TABLE_H

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/config/config.h"
#include "common/mail/lookup_protocol.h" /* enum table_status */

struct table;

enum table_flags {
    TABLE_FOLD_KEY = 1,    /* look up in lower case (all but regexp and pcre fold by themselves) */
    TABLE_SRC_RHS_IS_FILE = 2, /* postmap -F */
};

/*
 * Opens "type:name" ("proxy:" in front is accepted and has no effect here: lookup is the proxy).
 * Never NULL: a table that cannot be opened answers TABLE_ERROR to every lookup, with its reason in the
 * log, and is tried again later; an unknown type likewise.
 */
struct table *table_open(const char *spec, const struct config *config, unsigned flags);
void table_close(struct table *table);
const char *table_spec(const struct table *table);

/*
 * One exact key. On TABLE_FOUND the value is appended to *value. May wait (pgsql) when on a fiber;
 * deadline bounds it. On TABLE_ERROR the reason has been logged as a warning naming the table.
 */
enum table_status table_find(struct table *table, struct slice key, struct str *value, int64_t deadline)
    MUST_CHECK;

/* What a type provides. One const instance per file, listed in table.c. */
struct table_type {
    const char *name;
    /* NULL with *error (malloc'd) when it cannot be opened now. */
    void *(*open)(const char *name, const struct config *config, unsigned flags, char **error);
    void (*close)(void *state);
    enum table_status (*find)(void *state, struct slice key, struct str *value, char **error,
                              int64_t deadline);
    /* True when the source changed and the table wants to be opened anew. May be NULL. */
    bool (*is_stale)(void *state);
};

/* All types known, for postconf -m. NULL-terminated. */
const struct table_type *const *table_types(void);

#endif
