/* SPDX-License-Identifier: ISC */
/* What the files of the address resolver share. Nobody else includes this. */
#ifndef POSTHORN_MAIL_RESOLVE_INTERNAL_H
#define POSTHORN_MAIL_RESOLVE_INTERNAL_H

#include "common/mail/resolve.h"
#include "common/mail/address_rewrite.h"
#include "common/mail/cleanup_protocol.h"
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
    const char *myorigin, *myhostname, *recipient_delimiter, *empty_recipient;
    struct rewrite_rules rewrite;
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
    bool access_parents_plain;    /* ... smtpd_access_maps, which is every access(5) table */
    bool owner_request_special;   /* "owner-list" and "list-request" have no extension */
    /* recipients */
    struct maps *alias_maps, *local_recipients, *mailbox_maps, *relay_recipients;
    bool propagate_virtual;
    int64_t expansion_limit, recursion_limit, address_length_limit;
    /* The "*" entry of transport_maps, asked for at most once in 30 seconds. */
    int64_t wildcard_expires;
    enum table_status wildcard_status;
    char *wildcard;
    struct canonical *canonical; /* resolve_canonical.c */
    bool may_wait;
};

/* Addresses in the arena, in order. */
struct address_list {
    struct arena *arena;
    char **list;
    size_t count, capacity;
};
void address_list_add(struct address_list *list, char *address);

/* One step: what a table says about an address, as a list of full addresses; the extension goes over when wanted. */
enum table_status resolve_map_once(struct resolver *resolver, struct maps *maps, bool propagate, const char *address,
                                   int64_t deadline, struct address_list *list, const char **failed_table) MUST_CHECK;

/* main.cf's list names this word. */
bool resolver_list_has(const struct config *config, const char *parameter, const char *word);

/* --- resolve_canonical.c: false says that a table failed, and that the log has it ------------------ */

/* One message's addresses, or one recipient's. */
struct rewriting {
    struct resolver *resolver;
    struct arena *arena;
    int64_t deadline;
    const char *queue_id; /* for warnings */
    bool no_maps;
    struct recipient *copies; /* gathered */
    size_t copy_count, copy_room;
};

/* canonical_maps and its kin, then masquerade_domains, for a full address in that role (enum address_role). */
bool resolve_canonical(const struct rewriting *rewriting, unsigned role, char **address) MUST_CHECK;
/* recipient_bcc_maps; what they say is added to the copies. */
bool resolve_copies_of_recipient(struct rewriting *rewriting, const char *address) MUST_CHECK;
/* Adds an automatic recipient, with its aliases. */
bool resolve_copy(struct rewriting *rewriting, const char *to) MUST_CHECK;
/* Addresses that canonical tables list exist: smtpd(8). On TABLE_ERROR *failed names the table. */
enum table_status resolve_canonical_knows(struct resolver *resolver, const char *address, bool is_sender,
                                          struct arena *arena, int64_t deadline, const char **failed) MUST_CHECK;

void canonical_open(struct resolver *resolver);
void canonical_close(struct resolver *resolver);

/* main.cf's parent_domain_matches_subdomains names this parameter. */
bool resolver_matches_parents(const struct config *config, const char *parameter);

void own_addresses_collect(struct own_addresses *own, const struct config *config, struct arena *arena);
bool own_addresses_has(const struct own_addresses *own, struct slice literal);

/* Rewriting on tokens, for the loop that strips local domains. */
void resolve_rewrite_tokens(const struct resolver *resolver, struct tokens *tokens);

#endif
