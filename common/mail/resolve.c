/* SPDX-License-Identifier: ISC */
/*
 * resolve: the resolver's life, and the questions of the lookup protocol put together from its parts. Called by the
 * lookup role, on a fiber when a table may wait. A failing table is an error in the answer, never "unknown".
 */
#include "common/mail/resolve.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mail/resolve_internal.h"

bool resolver_list_has(const struct config *config, const char *parameter, const char *word)
{
    struct arena *arena = arena_new();
    char **items;
    size_t count = config_split_list(config_string(config, parameter), arena, &items);
    bool has = false;
    for (size_t i = 0; i < count && !has; i++)
        has = text_equal_nocase(items[i], word);
    arena_free(arena);
    return has;
}

bool resolver_matches_parents(const struct config *config, const char *parameter)
{
    return resolver_list_has(config, "parent_domain_matches_subdomains", parameter);
}

static struct maps *open_maps(struct resolver *resolver, const char *parameter)
{
    struct maps *maps = maps_open(parameter, config_string(resolver->config, parameter), resolver->config,
                                  TABLE_FOLD_KEY);
    resolver->may_wait = resolver->may_wait || maps_may_wait(maps);
    return maps;
}

static struct match_list *open_list(struct resolver *resolver, const char *parameter, enum match_style style)
{
    struct match_list *list =
        match_list_open(parameter, config_string(resolver->config, parameter), style, resolver->config);
    resolver->may_wait = resolver->may_wait || match_list_may_wait(list);
    return list;
}

static void read_settings(struct resolver *r, const struct config *config)
{
    r->myorigin = config_string(config, "myorigin");
    r->myhostname = config_string(config, "myhostname");
    r->recipient_delimiter = config_string(config, "recipient_delimiter");
    r->empty_recipient = config_string(config, "empty_address_recipient");
    r->rewrite = (struct rewrite_rules){
        .origin = r->myorigin, .domain = config_string(config, "mydomain"),
        .swap_bangpath = config_bool(config, "swap_bangpath"), .percent_hack = config_bool(config, "allow_percent_hack"),
        .append_at_origin = config_bool(config, "append_at_myorigin"),
        .append_dot_domain = config_bool(config, "append_dot_mydomain")};
    r->resolve_dequoted = config_bool(config, "resolve_dequoted_address");
    r->resolve_null_domain = config_bool(config, "resolve_null_domain");
    r->resolve_numeric_domain = config_bool(config, "resolve_numeric_domain");
    r->allow_min_user = config_bool(config, "allow_min_user");
    r->show_user_table = config_bool(config, "show_user_unknown_table_name");
    r->only_utf8 = config_bool(config, "smtputf8_enable");
    r->helpful_warnings = config_bool(config, "helpful_warnings");
    r->local_transport = config_string(config, "local_transport");
    r->virtual_transport = config_string(config, "virtual_transport");
    r->relay_transport = config_string(config, "relay_transport");
    r->default_transport = config_string(config, "default_transport");
    r->relayhost = config_string(config, "relayhost");
    r->relocated_prefix = config_bool(config, "relocated_prefix_enable");
    r->null_relayhost_key = config_string(config, "empty_address_relayhost_maps_lookup_key");
    r->null_transport_key = config_string(config, "empty_address_default_transport_maps_lookup_key");
    r->transport_parents_plain = resolver_matches_parents(config, "transport_maps");
    r->access_parents_plain = resolver_matches_parents(config, "smtpd_access_maps");
    r->owner_request_special = config_bool(config, "owner_request_special");
    r->propagate_virtual = resolver_list_has(config, "propagate_unmatched_extensions", "virtual");
    r->expansion_limit = config_int(config, "virtual_alias_expansion_limit");
    r->recursion_limit = config_int(config, "virtual_alias_recursion_limit");
    r->address_length_limit = config_int(config, "virtual_alias_address_length_limit");
}

struct resolver *resolver_new(const struct config *config)
{
    struct resolver *r = mem_alloc(sizeof *r);
    r->config = config;
    r->arena = arena_new();
    read_settings(r, config);
    own_addresses_collect(&r->own, config, r->arena);
    r->local = open_list(r, "mydestination", MATCH_STRING);
    r->alias_domains = open_list(r, "virtual_alias_domains", MATCH_STRING);
    r->mailbox_domains = open_list(r, "virtual_mailbox_domains", MATCH_STRING);
    r->relay_domains = open_list(r, "relay_domains",
                                 resolver_matches_parents(config, "relay_domains") ? MATCH_DOMAIN_PARENTS
                                                                                   : MATCH_DOMAIN);
    r->transport_maps = open_maps(r, "transport_maps");
    r->sender_relayhost_maps = open_maps(r, "sender_dependent_relayhost_maps");
    r->sender_transport_maps = open_maps(r, "sender_dependent_default_transport_maps");
    r->relocated_maps = open_maps(r, "relocated_maps");
    r->alias_maps = open_maps(r, "virtual_alias_maps");
    r->local_recipients = open_maps(r, "local_recipient_maps");
    r->mailbox_maps = open_maps(r, "virtual_mailbox_maps");
    r->relay_recipients = open_maps(r, "relay_recipient_maps");
    canonical_open(r);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    match_list_close(r->local);
    match_list_close(r->alias_domains);
    match_list_close(r->mailbox_domains);
    match_list_close(r->relay_domains);
    maps_close(r->transport_maps);
    maps_close(r->sender_relayhost_maps);
    maps_close(r->sender_transport_maps);
    maps_close(r->relocated_maps);
    maps_close(r->alias_maps);
    maps_close(r->local_recipients);
    maps_close(r->mailbox_maps);
    maps_close(r->relay_recipients);
    canonical_close(r);
    free(r->wildcard);
    arena_free(r->arena);
    free(r);
}

bool resolver_may_wait(const struct resolver *resolver)
{
    return resolver->may_wait;
}

/* --- existence ------------------------------------------------------------------------- */

static bool is_address_at_myorigin(const struct resolver *resolver, const char *address, const char *user)
{
    struct slice text = slice_of(address), local = slice_of(user);
    if (text.len <= local.len || !slice_starts_with_nocase(text, local) || text.data[local.len] != '@')
        return false;
    return slice_equal_nocase(slice_skip(text, local.len + 1), slice_of(resolver->myorigin));
}

/* Addresses that the mail system itself uses exist in every list of local users. */
static bool is_system_address(const struct resolver *resolver, const char *address)
{
    return is_address_at_myorigin(resolver, address, "postmaster") ||
           is_address_at_myorigin(resolver, address, "mailer-daemon") ||
           is_address_at_myorigin(resolver, address, "double-bounce");
}

struct validation {
    struct resolver *resolver, *cleanup;
    struct arena *arena;
    int64_t deadline;
    struct address_answer *answer;
};

/* In this list? An error settles the answer. */
static bool is_listed(const struct validation *v, struct maps *maps)
{
    struct found found;
    enum table_status status = resolve_find(v->resolver, maps, v->answer->address, FIND_DEFAULT, v->arena,
                                            v->deadline, &found);
    if (status == TABLE_ERROR) {
        v->answer->validity = ADDRESS_ERROR;
        v->answer->failed_table = arena_strdup(v->arena, found.table);
    }
    str_free(&found.value);
    return status == TABLE_FOUND;
}

static void require_listed(const struct validation *v, struct maps *maps, const char *table)
{
    if (maps_is_empty(maps) || is_listed(v, maps) || v->answer->validity == ADDRESS_ERROR)
        return;
    v->answer->validity = ADDRESS_UNKNOWN;
    v->answer->unknown_in = arena_strdup(v->arena, table);
}

/* What the class of the address demands of one that no alias table knows. */
static void validate_in_class(const struct validation *v)
{
    struct resolver *resolver = v->resolver;
    struct address_answer *answer = v->answer;
    /* What goes to the error mailer has its own text there; only virtual alias domains are "unknown" here. */
    if (strcmp(answer->transport, "error") == 0 && answer->address_class != CLASS_VIRTUAL_ALIAS)
        return;
    switch (answer->address_class) {
    case CLASS_LOCAL:
        if (!is_system_address(resolver, answer->address))
            require_listed(v, resolver->local_recipients, "local recipient table");
        break;
    case CLASS_VIRTUAL_ALIAS:
        answer->validity = ADDRESS_UNKNOWN;
        answer->unknown_in = arena_strdup(v->arena, "virtual alias table");
        break;
    case CLASS_VIRTUAL_MAILBOX:
        require_listed(v, resolver->mailbox_maps, "virtual mailbox table");
        break;
    case CLASS_RELAY:
        require_listed(v, resolver->relay_recipients, "relay recipient table");
        break;
    default:
        break;
    }
}

/* What cleanup(8) does to an envelope recipient. TABLE_FOUND: virtual_alias_maps know it. */
static enum table_status expand_recipient(const struct validation *v, const char *rewritten, unsigned flags)
{
    struct address_answer *answer = v->answer;
    struct rewriting rewriting = {.resolver = v->cleanup, .arena = v->arena, .deadline = v->deadline,
                                  .queue_id = "NOQUEUE", .no_maps = (flags & ADDRESS_NO_MAPS) != 0};
    answer->canonical = arena_strdup(v->arena, rewritten);
    if (!rewriting.no_maps && !resolve_canonical(&rewriting, ROLE_ENVELOPE_RECIPIENT, &answer->canonical))
        return TABLE_ERROR;
    if ((flags & ADDRESS_COPIES) != 0 && !resolve_copies_of_recipient(&rewriting, answer->canonical))
        return TABLE_ERROR;
    answer->copies = rewriting.copies;
    answer->copy_count = rewriting.copy_count;
    return rewriting.no_maps ? TABLE_NOT_FOUND :
           resolve_expand(v->cleanup, answer->canonical, v->arena, v->deadline, answer);
}

static bool is_canonical(const struct validation *v, bool is_sender)
{
    const char *failed = "";
    enum table_status status =
        resolve_canonical_knows(v->resolver, v->answer->address, is_sender, v->arena, v->deadline, &failed);
    if (status == TABLE_ERROR) {
        v->answer->validity = ADDRESS_ERROR;
        v->answer->failed_table = arena_strdup(v->arena, failed);
    }
    return status != TABLE_NOT_FOUND;
}

/*
 * The order of RCPT: an alias makes any address valid, then the class's own table decides. Where the aliases are
 * wanted anyway their first look-up answers the first question too: a database is not asked twice.
 */
static void validate(const struct validation *v, const char *rewritten, unsigned flags)
{
    struct address_answer *answer = v->answer;
    enum table_status aliased = TABLE_NOT_FOUND;
    if (flags & ADDRESS_EXPAND)
        aliased = expand_recipient(v, rewritten, flags);
    if (aliased == TABLE_ERROR)
        answer->validity = ADDRESS_ERROR;
    if (aliased != TABLE_NOT_FOUND)
        return;
    bool asked = (flags & ADDRESS_EXPAND) && !(flags & ADDRESS_NO_MAPS) && v->cleanup == v->resolver &&
                 strcmp(answer->canonical, answer->address) == 0;
    if (is_canonical(v, (flags & ADDRESS_IS_SENDER) != 0) ||
        (!asked && (is_listed(v, v->resolver->alias_maps) || answer->validity == ADDRESS_ERROR)))
        return;
    validate_in_class(v);
}

void resolve_question(struct resolver *resolver, const char *address, unsigned flags, struct arena *arena,
                      int64_t deadline, struct address_answer *answer)
{
    resolve_question_for(resolver, resolver, address, flags, arena, deadline, answer);
}

void resolve_question_for(struct resolver *resolver, struct resolver *cleanup, const char *address, unsigned flags,
                          struct arena *arena, int64_t deadline, struct address_answer *answer)
{
    char *rewritten;
    struct resolution resolution;
    struct validation validation = {resolver, cleanup, arena, deadline, answer};
    char *nothing = arena_strdup(arena, "");
    *answer = (struct address_answer){.unknown_in = nothing, .failed_table = nothing, .expansion_reason = nothing, .canonical = nothing};
    resolve_rewrite(resolver, address, arena, &rewritten);
    resolve_address(resolver, "", rewritten, arena, deadline, &resolution);
    answer->address_class = (uint8_t)resolution.address_class;
    answer->address = resolution.address;
    answer->transport = resolution.transport;
    answer->next_hop = resolution.next_hop;
    answer->routed = resolution.routed;
    answer->bad_syntax = resolution.bad_syntax;
    if (resolution.failed) {
        answer->validity = ADDRESS_ERROR;
        answer->failed_table = arena_strdup(arena, resolution.failed_table);
    } else if (!resolution.bad_syntax) {
        validate(&validation, rewritten, flags);
    }
    if ((flags & ADDRESS_EXPAND) && answer->expanded_count == 0) {
        answer->expanded = arena_alloc_array(arena, 1, sizeof *answer->expanded);
        answer->expanded[answer->expanded_count++] = *answer->canonical != '\0' ? answer->canonical : rewritten;
    }
}

void resolve_route(struct resolver *resolver, const char *sender, const char *address, struct arena *arena,
                   int64_t deadline, struct route *route)
{
    struct resolution resolution;
    char *rewritten;
    resolve_rewrite(resolver, address, arena, &rewritten);
    resolve_address(resolver, sender, rewritten, arena, deadline, &resolution);
    *route = (struct route){.status = TABLE_FOUND, .transport = resolution.transport,
                            .next_hop = resolution.next_hop, .address = resolution.address,
                            .reason = arena_strdup(arena, "")};
    if (resolution.bad_syntax) {
        route->transport = arena_strdup(arena, "error");
        route->next_hop = arena_strdup(arena, "5.1.3 bad address syntax");
    } else if (resolution.failed) {
        route->status = TABLE_ERROR;
        route->reason = arena_strdup(arena, "address resolver failure");
    }
}
