/* SPDX-License-Identifier: ISC */
/* Between the files that make one SPF check. */
#ifndef POSTHORN_RESOLVER_SPF_INTERNAL_H
#define POSTHORN_RESOLVER_SPF_INTERNAL_H

#include "resolver/resolver.h"
#include "resolver/spf_record.h"

enum spf_token_kind { SPF_TOKEN_RECORD, SPF_TOKEN_HOST, SPF_TOKEN_MX, SPF_TOKEN_EXISTS, SPF_TOKEN_PTR };

/* What stands for a domain in the records that libspf2 gets. */
struct spf_token {
    enum spf_token_kind kind;
    struct slice spec;   /* unexpanded; empty when name is known */
    const char *domain;  /* the current domain of its record */
    char *name;          /* expanded; NULL: not yet, or there can be no such name */
    bool is_main;        /* of a redirect: its record's outcome is the check's */
    bool matches_any;    /* "/0": every address matches */
    bool is_exchanger;   /* a host of an mx term: already counted */
};

/* One check_host(). */
struct spf_run {
    struct arena *arena;
    int64_t deadline;
    struct spf_macro_values values;
    unsigned char raw[16]; /* the client's address */
    bool is_ip6, is_started;
    struct str first;      /* the first record, as libspf2 gets it */
    struct spf_token *tokens;
    size_t token_count, token_room;
    unsigned lookups, voids;
    uint8_t forced;        /* the result, whatever libspf2 says; SPF_UNCHECKED: its own */
    const char *problem;
    struct slice explanation; /* exp= of the record that decides; empty: none */
    const char *explanation_domain;
    bool names_known;
    char **names;          /* validated names of the client */
    size_t name_count;
};

/* Ends the check: the first result that is forced counts. */
void spf_force(struct spf_run *run, uint8_t result, const char *problem);
/* Asks, within the time that is left. */
void spf_ask(struct spf_run *run, const char *name, enum dns_type type, struct dns_answer *answer);
/* Prepares run->values for an expansion in that domain. */
void spf_macro_fill(struct spf_run *run, const char *domain, bool wants_client_domain);

/* spf_client.c: the client's validated names (RFC 7208 5.5), asked for once. */
bool spf_ptr_matches(struct spf_run *run, const char *domain);
/* For %{p}: a name in the domain when there is one, another, or "unknown". */
const char *spf_client_domain(struct spf_run *run, const char *domain);
/* spf_client.c: the explanation of a fail (RFC 7208 6.2), printable and bounded; "" when there is none. */
char *spf_explain(struct spf_run *run);

#endif
