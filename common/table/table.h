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
    TABLE_FOLD_KEY = 1,    /* look up in lower case (not regexp, pcre: they fold by themselves) */
    TABLE_SRC_RHS_IS_FILE = 2, /* values are base64 (postmap -F): decode them */
    TABLE_ALIAS_SOURCE = 4,    /* the source text is in aliases(5) format */
    TABLE_CALLER_SPEAKS = 8,   /* the caller says itself which lookup failed (postmap) */
};

/*
 * Opens "type:name" ("proxy:" in front is accepted and has no effect here: lookup is the proxy).
 * Never NULL: a table that cannot be opened answers TABLE_ERROR to every lookup, with its reason in the
 * log, and is tried again later; an unknown type likewise. The same spec opened twice is one table. The
 * configuration must outlive it.
 */
struct table *table_open(const char *spec, const struct config *config, unsigned flags);
void table_close(struct table *table);
const char *table_spec(const struct table *table);
/* Why it is not open now; NULL when it is. */
const char *table_open_error(const struct table *table);
/* True when a lookup may have to wait for somebody: such lookups belong on a fiber of their own. */
bool table_may_wait(const struct table *table);
/* True for regexp and the like, which see whole keys only, never parts of them. */
bool table_is_pattern(const struct table *table);

/*
 * One exact key. On TABLE_FOUND the value is appended to *value. May wait (pgsql) when on a fiber;
 * deadline bounds it. On TABLE_ERROR the reason has been logged as a warning naming the table.
 */
enum table_status table_find(struct table *table, struct slice key, struct str *value, int64_t deadline)
    MUST_CHECK;

/* Called for every entry; false ends the walk. */
typedef bool table_visitor(void *context, struct slice key, struct slice value);

/* All entries, for postmap -s. False with *error (malloc'd); NULL there: this type cannot list. */
bool table_walk(struct table *table, table_visitor *visit, void *context, char **error) MUST_CHECK;

/* What a type provides. One const instance per file, listed in table_types.c. */
struct table_type {
    const char *name;
    bool pattern; /* see table_is_pattern() */
    bool waits;   /* every lookup may wait */
    bool is_compound; /* made of other tables, which fold keys by themselves */
    /* NULL with *error (malloc'd) when it cannot be opened now. */
    void *(*open)(const char *name, const struct config *config, unsigned flags, char **error);
    void (*close)(void *state);
    enum table_status (*find)(void *state, struct slice key, struct str *value, char **error,
                              int64_t deadline);
    /* True when the source changed and the table wants to be opened anew. May be NULL. */
    bool (*is_stale)(void *state);
    bool (*may_wait)(const void *state); /* for types made of other tables. May be NULL. */
    bool (*is_pattern)(const void *state); /* likewise */
    bool (*walk)(void *state, table_visitor *visit, void *context, char **error); /* may be NULL */
};

/* All types known, for postconf -m. NULL-terminated. */
const struct table_type *const *table_types(void);
/* NULL when there is no such type. */
const struct table_type *table_type_find(struct slice name);

/* Splits "proxy:type:name"; false when there is no colon. The name is NUL-terminated in spec. */
bool table_spec_split(const char *spec, struct slice *type, const char **name);

#endif
