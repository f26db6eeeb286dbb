/* SPDX-License-Identifier: ISC */
/*
 * What an address means here: its canonical form, its class, whether it exists, what virtual aliases make of it,
 * and where its mail goes. Logic over tables; used by lookup (and by commands that explain). Addresses are in
 * internal form (no quotes) on the way in and out. Calls wait when a table does, so they belong on a fiber then.
 *
 * Behaviour: trivial-rewrite(8), ADDRESS_CLASS_README, virtual(5), transport(5), canonical(5), access(5).
 */
#ifndef POSTHORN_MAIL_RESOLVE_H
#define POSTHORN_MAIL_RESOLVE_H

#include "common/mail/cleanup_protocol.h"
#include "common/mail/lookup_protocol.h"
#include "common/table/maps.h"
#include "common/table/match_list.h"

struct resolver;

/* Opens all tables and lists that the parameters name. The configuration must outlive it. */
struct resolver *resolver_new(const struct config *config);
void resolver_free(struct resolver *resolver);
/* True when some question may wait (a table in use is a database). */
bool resolver_may_wait(const struct resolver *resolver);

/* --- the form of an address --------------------------------------------------------- */

/* trivial-rewrite's "local" rewriting: source route, bang path, percent hack, $myorigin, $mydomain. */
void resolve_rewrite(const struct resolver *resolver, const char *address, struct arena *arena, char **result);

/* --- where it goes --------------------------------------------------------------------- */

struct resolution {
    enum address_class address_class;
    char *address;        /* with local domains stripped off and the address behind them found */
    char *transport, *next_hop;
    bool routed;          /* a routing operator is left in the local part: uncertain destination */
    bool bad_syntax;
    bool failed;          /* a table failed */
    const char *failed_table;
};

/* The address must have been rewritten. Sender "" is the null sender. */
void resolve_address(struct resolver *resolver, const char *sender, const char *address, struct arena *arena,
                     int64_t deadline, struct resolution *resolution);

/* Is this domain (or "[address]") one of ours: mydestination, inet_interfaces, proxy_interfaces? */
enum match_status resolve_is_local(struct resolver *resolver, struct slice domain, int64_t deadline) MUST_CHECK;

/* --- existence and expansion -------------------------------------------------------------- */

/* One LOOKUP_ADDRESS: everything that RCPT needs. */
void resolve_question(struct resolver *resolver, const char *address, unsigned flags, struct arena *arena,
                      int64_t deadline, struct address_answer *answer);
/* The same where a cleanup service of its own does the rewriting and expanding. */
void resolve_question_for(struct resolver *resolver, struct resolver *cleanup, const char *address, unsigned flags,
                          struct arena *arena, int64_t deadline, struct address_answer *answer);

/* One LOOKUP_REWRITE: canonical forms of a message's addresses, and its automatic copies. */
void resolve_message(struct resolver *resolver, const struct rewrite_question *question, struct arena *arena,
                     int64_t deadline, struct rewrite_answer *answer);

/* One address of a LOOKUP_ROUTE. */
void resolve_route(struct resolver *resolver, const char *sender, const char *address, struct arena *arena,
                   int64_t deadline, struct route *route);

/*
 * virtual_alias_maps, recursively, into answer->expanded (and ->expansion_failed, ->expansion_reason). The address
 * must have been rewritten. TABLE_FOUND when an alias was found for it; TABLE_ERROR when the look-up for the address
 * itself failed (->failed_table). Failures deeper down and limits are TABLE_FOUND with expansion_failed.
 */
enum table_status resolve_expand(struct resolver *resolver, const char *address, struct arena *arena,
                                 int64_t deadline, struct address_answer *answer) MUST_CHECK;

/* --- searches with parts of a key ---------------------------------------------------------- */

enum find_steps {
    FIND_FULL = 1,               /* user+ext@domain */
    FIND_WITHOUT_EXTENSION = 2,  /* user@domain */
    FIND_LOCAL_PART = 4,         /* user+ext, user: when the domain is local */
    FIND_AT_DOMAIN = 8,          /* @domain */
    FIND_DOMAIN = 16,            /* domain and its parents, as transport(5) */
    FIND_DEFAULT = FIND_FULL | FIND_WITHOUT_EXTENSION | FIND_LOCAL_PART | FIND_AT_DOMAIN,
};

struct found {
    struct str value;
    char *extension;   /* "+ext" when a key without it was found; NULL otherwise; in the arena */
    const char *table; /* which answered or failed */
};

/* *found.value must be freed by the caller. */
enum table_status resolve_find(struct resolver *resolver, struct maps *maps, const char *address, unsigned steps,
                               struct arena *arena, int64_t deadline, struct found *found) MUST_CHECK;

/* A key varied as enum table_key_kind says. */
enum table_status resolve_find_kind(struct resolver *resolver, struct maps *maps, enum table_key_kind kind, const char *key,
                                    struct arena *arena, int64_t deadline, struct found *found) MUST_CHECK;

/* The extension of a local part ("+ext" of user+ext), as recipient_delimiter and owner- rules say; its length or 0. */
size_t resolve_extension(const struct resolver *resolver, struct slice local);

#endif
