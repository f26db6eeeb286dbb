/* SPDX-License-Identifier: ISC */
/*
 * resolve_route: class, transport and next hop of an address, as trivial-rewrite(8)'s resolver. First all local domains
 * are taken off an address that was routed through us (a%b@us, "a@b"@us): what is behind them is where it really
 * goes, and whether relaying is allowed is judged by that. Then its class, then transport_maps.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/resolve_domain.h"
#include "common/mail/resolve_internal.h"
#include "common/table/utf8.h"

#define WILDCARD_LIFETIME_MS 30000

enum match_status resolve_is_local(struct resolver *resolver, struct slice domain, int64_t deadline)
{
    if (domain.len > 1 && domain.data[domain.len - 1] == '.')
        domain.len--;
    enum match_status status = match_list_find(resolver->local, domain, deadline);
    if (status != MATCH_NO || domain.len < 3 || domain.data[0] != '[' || domain.data[domain.len - 1] != ']')
        return status;
    bool own = own_addresses_has(&resolver->own, slice_range(domain.data + 1, domain.len - 2));
    return own ? MATCH_YES : MATCH_NO;
}

struct routing {
    struct resolver *resolver;
    struct arena *arena;
    int64_t deadline;
    struct resolution *result;
    const char *sender;
    struct slice domain; /* of the resolved address */
};

static void fail(struct routing *routing, const char *parameter, const char *table)
{
    log_warning("%s lookup failure", parameter);
    routing->result->failed = true;
    routing->result->failed_table = arena_strdup(routing->arena, *table != '\0' ? table : parameter);
}

static void fail_list(struct routing *routing, const char *parameter, const struct match_list *list)
{
    fail(routing, parameter, match_list_failed(list));
}

/* --- off with the local domains -------------------------------------------------------- */

static enum match_status tokens_domain_is_local(struct routing *routing, const struct tokens *tokens, size_t at)
{
    struct str text = STR_EMPTY;
    struct tokens domain = tokens_part(tokens, at + 1, tokens->count);
    if (domain.count == 0)
        return MATCH_YES; /* a lone "@" at the end */
    tokens_internalize(&domain, &text);
    enum match_status status = resolve_is_local(routing->resolver, str_slice(&text), routing->deadline);
    str_free(&text);
    return status;
}

static void cut_trailing_dot(struct tokens *tokens)
{
    size_t n = tokens->count;
    if (n >= 2 && tokens->list[n - 1].type == '.' && tokens_find(tokens, '@', 0) != TOKENS_NONE &&
        tokens->list[n - 2].type != '.' && tokens->list[n - 2].type != '@')
        tokens_keep(tokens, 0, n - 1);
}

/* "a%b"@us: technically one word, but forwarding it unopened would make us a relay. */
static bool crack_quoted(const struct resolver *resolver, struct tokens *tokens)
{
    if (!resolver->resolve_dequoted || tokens->count != 1 || tokens->list[0].type != TOKEN_QUOTED)
        return false;
    char *local = arena_slice(tokens->arena, tokens->list[0].text);
    char *operator = strrchr(local, '@');
    if (operator == NULL && resolver->rewrite.percent_hack)
        operator = strrchr(local, '%');
    if (operator == NULL && resolver->rewrite.swap_bangpath)
        operator = strrchr(local, '!');
    if (operator == NULL)
        return false;
    if (*operator == '%')
        *operator = '@';
    struct str text = STR_EMPTY;
    if (*operator == '@')
        address_quote_local(slice_of(local), &text);
    else
        str_append(&text, local);
    tokens_scan(tokens, tokens->arena, slice_of(arena_slice(tokens->arena, str_slice(&text))));
    str_free(&text);
    return true;
}

static bool has_routing_operator(const struct resolver *resolver, const struct tokens *tokens)
{
    return tokens_find(tokens, '@', 0) != TOKENS_NONE ||
           (resolver->rewrite.swap_bangpath && tokens_find(tokens, '!', 0) != TOKENS_NONE) ||
           (resolver->rewrite.percent_hack && tokens_find(tokens, '%', 0) != TOKENS_NONE);
}

static void fill_empty_local_part(const struct resolver *resolver, struct tokens *tokens)
{
    if (tokens->count == 1 && tokens->list[0].type == TOKEN_QUOTED && tokens->list[0].text.len == 0)
        tokens_keep(tokens, 0, 0);
    if (tokens->count == 0)
        tokens_append_scan(tokens, slice_of(resolver->empty_recipient));
}

/* Leaves user@domain in *tokens. True when the domain is local; *domain_known is false when it had none. */
static bool strip_local_domains(struct routing *routing, struct tokens *tokens, size_t length)
{
    const struct resolver *resolver = routing->resolver;
    struct tokens saved = {.arena = routing->arena}; /* "@domain", the last one taken off */
    for (size_t round = 0;; round++) {
        if (round > length + 100) {
            fail(routing, "address", "");
            return true;
        }
        cut_trailing_dot(tokens);
        if (resolver->resolve_null_domain && tokens->count > 0 && tokens->list[tokens->count - 1].type == '@')
            tokens_keep(tokens, 0, tokens->count - 1);
        size_t at = tokens_find_last(tokens, '@');
        if (at != TOKENS_NONE) {
            bool bare_at = at + 1 == tokens->count;
            enum match_status local = bare_at ? MATCH_YES : tokens_domain_is_local(routing, tokens, at);
            if (local == MATCH_ERROR)
                fail_list(routing, "mydestination", resolver->local);
            if (local != MATCH_YES)
                return false;
            saved = tokens_part(tokens, at, tokens->count);
            tokens_keep(tokens, 0, at);
        }
        if (tokens->count > 0 && (has_routing_operator(resolver, tokens) || crack_quoted(resolver, tokens))) {
            resolve_rewrite_tokens(resolver, tokens);
            continue;
        }
        break;
    }
    fill_empty_local_part(resolver, tokens);
    if (saved.count == 0) {
        tokens_append(&saved, '@', SLICE("@"));
        tokens_append_scan(&saved, slice_of(resolver->myhostname));
    }
    for (size_t i = 0; i < saved.count; i++)
        tokens_append(tokens, saved.list[i].type, saved.list[i].text);
    return true;
}

/* --- what remains must be user@domain -------------------------------------------------- */

static bool check_domain(struct routing *routing, bool *is_local)
{
    struct resolution *result = routing->result;
    char *at = strrchr(result->address, '@');
    routing->domain = slice_of(at + 1);
    if (routing->resolver->resolve_numeric_domain && domain_is_bare_address(routing->domain)) {
        result->address = arena_printf(routing->arena, "%.*s@[%s]", (int)(at - result->address), result->address,
                                       at + 1);
        routing->domain = slice_of(strrchr(result->address, '@') + 1);
        *is_local = resolve_is_local(routing->resolver, routing->domain, routing->deadline) == MATCH_YES;
        return true;
    }
    if (routing->domain.len > 0 && routing->domain.data[0] == '[')
        return domain_is_valid_literal(routing->domain);
    return domain_is_valid(routing->domain);
}

/* Whatever we think of ! and %, the next mail server may route by them. */
static bool is_routed(const char *address, struct slice domain)
{
    size_t first = strcspn(address, "@!%");
    return address + first + 1 != domain.data;
}

/* --- classes ----------------------------------------------------------------------------- */

static void set_transport(struct resolution *result, const char *transport, const char *next_hop)
{
    result->transport = (char *)(uintptr_t)transport;
    result->next_hop = (char *)(uintptr_t)next_hop;
}

/* A sender-dependent table: its value, "" when it says nothing. False: it failed. */
static bool ask_by_sender(struct routing *routing, struct maps *maps, const char *null_key, const char **value)
{
    struct found found;
    const char *key = *routing->sender != '\0' ? routing->sender : null_key;
    *value = "";
    if (maps_is_empty(maps))
        return true;
    enum table_status status = resolve_find(routing->resolver, maps, key, FIND_DEFAULT, routing->arena,
                                            routing->deadline, &found);
    if (status == TABLE_FOUND && !text_equal_nocase(str_text(&found.value), "DUNNO"))
        *value = arena_slice(routing->arena, str_slice(&found.value));
    if (status == TABLE_ERROR)
        fail(routing, maps_title(maps), found.table);
    str_free(&found.value);
    return status != TABLE_ERROR;
}

static bool classify_default(struct routing *routing)
{
    struct resolver *resolver = routing->resolver;
    const char *transport;
    if (!ask_by_sender(routing, resolver->sender_transport_maps, resolver->null_transport_key, &transport))
        return false;
    routing->result->address_class = CLASS_DEFAULT;
    routing->result->transport =
        arena_strdup(routing->arena, *transport != '\0' ? transport : resolver->default_transport);
    return true;
}

static bool classify_off_host(struct routing *routing)
{
    struct resolver *resolver = routing->resolver;
    const char *relayhost;
    switch (match_list_find(resolver->relay_domains, routing->domain, routing->deadline)) {
    case MATCH_YES:
        routing->result->address_class = CLASS_RELAY;
        routing->result->transport = arena_strdup(routing->arena, resolver->relay_transport);
        break;
    case MATCH_NO:
        if (!classify_default(routing))
            return false;
        break;
    default:
        fail_list(routing, "relay_domains", resolver->relay_domains);
        return false;
    }
    if (!ask_by_sender(routing, resolver->sender_relayhost_maps, resolver->null_relayhost_key, &relayhost))
        return false;
    if (*relayhost == '\0')
        relayhost = resolver->relayhost;
    routing->result->next_hop = *relayhost != '\0' ? arena_strdup(routing->arena, relayhost)
                                                   : arena_slice(routing->arena, routing->domain);
    return true;
}

static bool classify_remote(struct routing *routing)
{
    struct resolver *resolver = routing->resolver;
    struct resolution *result = routing->result;
    enum match_status match = match_list_find(resolver->alias_domains, routing->domain, routing->deadline);
    if (match == MATCH_YES) {
        result->address_class = CLASS_VIRTUAL_ALIAS;
        set_transport(result, "error",
                      arena_printf(routing->arena, "5.1.1 User unknown%s",
                                   resolver->show_user_table ? " in virtual alias table" : ""));
        return true;
    }
    if (match == MATCH_ERROR) {
        fail_list(routing, "virtual_alias_domains", resolver->alias_domains);
        return false;
    }
    match = match_list_find(resolver->mailbox_domains, routing->domain, routing->deadline);
    if (match == MATCH_YES) {
        result->address_class = CLASS_VIRTUAL_MAILBOX;
        set_transport(result, resolver->virtual_transport, arena_slice(routing->arena, routing->domain));
        return true;
    }
    if (match == MATCH_ERROR) {
        fail_list(routing, "virtual_mailbox_domains", resolver->mailbox_domains);
        return false;
    }
    return classify_off_host(routing);
}

/* "transport:nexthop" in a parameter overrides the next hop. */
static bool split_transport(struct routing *routing)
{
    struct resolution *result = routing->result;
    char *transport = arena_strdup(routing->arena, result->transport);
    char *colon = strchr(transport, ':');
    result->transport = transport;
    if (colon != NULL) {
        *colon = '\0';
        if (colon[1] != '\0')
            result->next_hop = colon + 1;
    }
    if (*transport == '\0') {
        log_warning("a null transport is not allowed (address class of <%s>)", result->address);
        fail(routing, "transport", "");
    }
    return *transport != '\0';
}

/* --- transport_maps ------------------------------------------------------------------------ */

static void apply_transport_entry(struct routing *routing, const char *entry)
{
    struct resolution *result = routing->result;
    char *transport = arena_strdup(routing->arena, entry);
    char *next_hop = strchr(transport, ':');
    if (next_hop != NULL)
        *next_hop++ = '\0';
    bool has_next_hop = next_hop != NULL && *next_hop != '\0';
    if (has_next_hop)
        result->next_hop = next_hop;
    if (*transport == '\0')
        return; /* ":" changes nothing, ":nexthop" the next hop only */
    result->transport = transport;
    if (has_next_hop)
        return;
    bool is_error = strcmp(transport, "error") == 0 || strcmp(transport, "retry") == 0;
    result->next_hop = is_error ? arena_strdup(routing->arena, "Address is undeliverable")
                                : arena_slice(routing->arena, routing->domain);
}

/* "*", the entry for everything, is asked for every 30 seconds only: it would be one more query an address. */
static enum table_status find_wildcard(struct routing *routing)
{
    struct resolver *resolver = routing->resolver;
    int64_t now = clock_ms();
    if (resolver->wildcard_status != TABLE_ERROR && now < resolver->wildcard_expires)
        return resolver->wildcard_status;
    struct str value = STR_EMPTY;
    enum table_status status = maps_find(resolver->transport_maps, SLICE("*"), false, &value, NULL, routing->deadline);
    free(resolver->wildcard);
    resolver->wildcard = str_detach(&value);
    resolver->wildcard_status = status;
    resolver->wildcard_expires = now + WILDCARD_LIFETIME_MS;
    return status;
}

static bool override_transport(struct routing *routing)
{
    struct resolver *resolver = routing->resolver;
    struct found found;
    if (maps_is_empty(resolver->transport_maps))
        return true;
    enum table_status status = resolve_find(resolver, resolver->transport_maps, routing->result->address,
                                            FIND_FULL | FIND_WITHOUT_EXTENSION | FIND_DOMAIN, routing->arena,
                                            routing->deadline, &found);
    if (status == TABLE_FOUND)
        apply_transport_entry(routing, str_text(&found.value));
    str_free(&found.value);
    if (status == TABLE_NOT_FOUND) {
        status = find_wildcard(routing);
        if (status == TABLE_FOUND)
            apply_transport_entry(routing, resolver->wildcard);
    }
    if (status == TABLE_ERROR)
        fail(routing, "transport_maps", found.table);
    return status != TABLE_ERROR;
}

static bool apply_relocated(struct routing *routing)
{
    struct resolver *resolver = routing->resolver;
    struct found found;
    if (maps_is_empty(resolver->relocated_maps))
        return true;
    enum table_status status = resolve_find(resolver, resolver->relocated_maps, routing->result->address,
                                            FIND_DEFAULT, routing->arena, routing->deadline, &found);
    if (status == TABLE_FOUND)
        set_transport(routing->result, "error",
                      arena_printf(routing->arena, "%s%s",
                                   resolver->relocated_prefix ? "5.1.6 User has moved to " : "",
                                   str_text(&found.value)));
    if (status == TABLE_ERROR)
        fail(routing, "relocated_maps", found.table);
    str_free(&found.value);
    return status != TABLE_ERROR;
}

/* --- all of it ------------------------------------------------------------------------------ */

static bool find_real_address(struct routing *routing, const char *address, bool *is_local)
{
    struct str text = STR_EMPTY;
    struct tokens tokens;
    if (*address != '\0')
        address_quote_local(slice_of(address), &text);
    tokens_scan(&tokens, routing->arena, slice_of(arena_slice(routing->arena, str_slice(&text))));
    *is_local = strip_local_domains(routing, &tokens, strlen(address));
    str_clear(&text);
    tokens_internalize(&tokens, &text);
    routing->result->address = arena_slice(routing->arena, str_slice(&text));
    str_free(&text);
    return !routing->result->failed;
}

void resolve_address(struct resolver *resolver, const char *sender, const char *address, struct arena *arena,
                     int64_t deadline, struct resolution *result)
{
    struct routing routing = {resolver, arena, deadline, result, sender, {0}};
    bool is_local;
    *result = (struct resolution){.address_class = CLASS_DEFAULT, .failed_table = ""};
    set_transport(result, "", "");
    if (!find_real_address(&routing, address, &is_local))
        return;
    if (!check_domain(&routing, &is_local) ||
        (resolver->only_utf8 && !utf8_is_valid(slice_of(result->address)))) {
        result->bad_syntax = true;
        return;
    }
    result->routed = is_routed(result->address, routing.domain);
    if (is_local) {
        result->address_class = CLASS_LOCAL;
        set_transport(result, resolver->local_transport, arena_slice(arena, routing.domain));
    } else if (!classify_remote(&routing)) {
        return;
    }
    if (!split_transport(&routing))
        return;
    if (result->address_class != CLASS_VIRTUAL_ALIAS && !override_transport(&routing))
        return;
    if (apply_relocated(&routing) && !resolver->allow_min_user && result->address[0] == '-')
        result->bad_syntax = true;
}
