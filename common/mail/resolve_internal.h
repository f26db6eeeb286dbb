/* SPDX-License-Identifier: ISC */
/* What the files of the address resolver share. Nobody else includes this. */
#ifndef POSTHORN_MAIL_RESOLVE_INTERNAL_H
#define POSTHORN_MAIL_RESOLVE_INTERNAL_H

#include "common/mail/resolve.h"
#include "common/mail/rfc822_tokens.h"

/* Addresses this machine answers to, in text: inet_interfaces and proxy_interfaces. */
struct own_addresses {
    char **list;
    size_t count;
};

struct resolver {
    const struct config *config;
    struct arena *arena;
    /* rewriting */
    const char *myorigin, *mydomain, *myhostname, *recipient_delimiter, *empty_recipient;
    bool swap_bangpath, percent_hack, append_at_myorigin, append_dot_mydomain;
    bool resolve_dequoted, resolve_null_domain, resolve_numeric_domain, allow_min_user;
    bool show_user_table, helpful_warnings;
    bool only_utf8; /* smtputf8_enable: other 8-bit text is no address */
    /* classes */
    struct match_list *local, *alias_domains, *mailbox_domains, *relay_domains;
    struct own_addresses own;
    const char *local_transport, *virtual_transport, *relay_transport, *default_transport, *relayhost;
    struct maps *transport_maps, *sender_relayhost_maps, *sender_transport_maps, *relocated_maps;
    bool relocated_prefix;
    const char *null_relayhost_key, *null_transport_key;
    bool transport_parents_plain; /* parent_domain_matches_subdomains has transport_maps */
    /* recipients */
    struct maps *alias_maps, *local_recipients, *mailbox_maps, *relay_recipients;
    bool propagate_virtual;
    int64_t expansion_limit, recursion_limit, address_length_limit;
    /* The "*" entry of transport_maps, asked for at most once in 30 seconds. */
    int64_t wildcard_expires;
    enum table_status wildcard_status;
    char *wildcard;
    bool may_wait;
};

/* main.cf's parent_domain_matches_subdomains names this parameter. */
bool resolver_matches_parents(const struct config *config, const char *parameter);

void own_addresses_collect(struct own_addresses *own, const struct config *config, struct arena *arena);
bool own_addresses_has(const struct own_addresses *own, struct slice literal);

/* Rewriting on tokens, for the loop that strips local domains. */
void resolve_rewrite_tokens(const struct resolver *resolver, struct tokens *tokens);

#endif
