/* SPDX-License-Identifier: ISC */
/*
 * resolve_find: one address, several keys -- the search orders of virtual(5), canonical(5), transport(5) and access(5).
 * Each key goes to all tables of the list before the next key; quoted local parts are tried in their external
 * form first, then without quotes. The first table that fails ends the search.
 */
#include "common/mail/resolve_internal.h"

#include <stdlib.h>

struct search {
    struct resolver *resolver;
    struct maps *maps;
    struct found *found;
    int64_t deadline;
};

static bool equals_nocase(struct slice text, const char *word)
{
    return slice_equal_nocase(text, slice_of(word));
}

size_t resolve_extension(const struct resolver *resolver, struct slice local)
{
    const char *delimiters = resolver->recipient_delimiter;
    if (*delimiters == '\0' || equals_nocase(local, "postmaster") || equals_nocase(local, "mailer-daemon") ||
        equals_nocase(local, "double-bounce"))
        return 0;
    if (resolver->owner_request_special && strchr(delimiters, '-') != NULL) { /* mailing list names are no extensions */
        struct slice tail = slice_skip(local, local.len > 8 ? local.len - 8 : 0);
        if (slice_starts_with_nocase(local, SLICE("owner-")) || (local.len > 8 && equals_nocase(tail, "-request")))
            return 0;
    }
    for (size_t i = 0; i < local.len; i++)
        if (local.data[i] != '\0' && strchr(delimiters, local.data[i]) != NULL)
            return i > 0 ? local.len - i : 0;
    return 0;
}

static enum table_status search_key(struct search *search, struct slice key, bool partial)
{
    return maps_find(search->maps, key, partial, &search->found->value, &search->found->table, search->deadline);
}

/* An address or a local part alone: external form first, then internal when that differs. */
static enum table_status search_address(struct search *search, struct slice key, bool has_domain, bool partial)
{
    struct str quoted = STR_EMPTY;
    if (has_domain)
        address_quote_local(key, &quoted);
    else
        address_quote_bare_local(key, &quoted);
    enum table_status status = search_key(search, str_slice(&quoted), partial);
    bool same = slice_equal(key, str_slice(&quoted));
    str_free(&quoted);
    if (status != TABLE_NOT_FOUND || same)
        return status;
    return search_key(search, key, partial);
}

/* user+ext, then user: only where the domain is this machine's. */
static enum table_status search_local_part(struct search *search, struct slice local, size_t extension,
                                           struct slice domain, struct arena *arena)
{
    enum match_status is_local = MATCH_YES;
    if (!equals_nocase(domain, search->resolver->myorigin))
        is_local = resolve_is_local(search->resolver, domain, search->deadline);
    if (is_local == MATCH_ERROR) {
        search->found->table = match_list_failed(search->resolver->local);
        return TABLE_ERROR;
    }
    if (is_local == MATCH_NO)
        return TABLE_NOT_FOUND;
    enum table_status status = search_address(search, local, false, true);
    if (status != TABLE_NOT_FOUND || extension == 0)
        return status;
    struct slice bare = slice_range(local.data, local.len - extension);
    status = search_address(search, bare, false, true);
    if (status == TABLE_FOUND)
        search->found->extension = arena_slice(arena, slice_skip(local, bare.len));
    return status;
}

/* domain, then its parents: "example.com" or ".example.com" as the parameter's style wants. */
static enum table_status search_domain(struct search *search, struct slice domain, bool parents_plain,
                                       bool first_is_partial)
{
    bool partial = first_is_partial;
    while (domain.len > 0) {
        enum table_status status = search_key(search, domain, partial);
        if (status != TABLE_NOT_FOUND)
            return status;
        const char *dot = domain.len > 1 ? memchr(domain.data + 1, '.', domain.len - 1) : NULL;
        if (dot == NULL)
            break;
        domain = slice_skip(domain, (size_t)(dot - domain.data) + (parents_plain ? 1 : 0));
        partial = true;
    }
    return TABLE_NOT_FOUND;
}

struct key_parts {
    struct slice whole, local, domain; /* domain is empty without '@' */
    size_t extension;                  /* bytes at the end of local */
    bool has_at;
};

static struct key_parts split_key(const struct resolver *resolver, const char *address)
{
    struct key_parts parts = {.whole = slice_of(address)};
    const char *at = strrchr(address, '@');
    parts.has_at = at != NULL;
    parts.local = at != NULL ? slice_range(address, (size_t)(at - address)) : parts.whole;
    parts.domain = at != NULL ? slice_of(at + 1) : slice_range("", 0);
    parts.extension = resolve_extension(resolver, parts.local);
    return parts;
}

static enum table_status search_without_extension(struct search *search, const struct key_parts *parts,
                                                  struct arena *arena)
{
    size_t bare = parts->local.len - parts->extension;
    char *key = arena_printf(arena, "%.*s%s", (int)bare, parts->local.data, parts->local.data + parts->local.len);
    enum table_status status = search_address(search, slice_of(key), parts->has_at, true);
    if (status == TABLE_FOUND)
        search->found->extension = arena_slice(arena, slice_skip(parts->local, bare));
    return status;
}

enum table_status resolve_find(struct resolver *resolver, struct maps *maps, const char *address, unsigned steps,
                               struct arena *arena, int64_t deadline, struct found *found)
{
    struct search search = {resolver, maps, found, deadline};
    enum table_status status = TABLE_NOT_FOUND;
    *found = (struct found){.value = STR_EMPTY, .table = ""};
    if (maps_is_empty(maps) || *address == '\0')
        return TABLE_NOT_FOUND;
    struct key_parts parts = split_key(resolver, address);
    if (steps & FIND_FULL)
        status = search_address(&search, parts.whole, parts.has_at, false);
    if (status == TABLE_NOT_FOUND && (steps & FIND_WITHOUT_EXTENSION) && parts.extension > 0)
        status = search_without_extension(&search, &parts, arena);
    if (status == TABLE_NOT_FOUND && (steps & FIND_LOCAL_PART) && parts.has_at)
        status = search_local_part(&search, parts.local, parts.extension, parts.domain, arena);
    if (status == TABLE_NOT_FOUND && (steps & FIND_AT_DOMAIN) && parts.has_at)
        status = search_key(&search, slice_skip(parts.whole, parts.local.len), true);
    if (status == TABLE_NOT_FOUND && (steps & FIND_DOMAIN) && parts.has_at)
        status = search_domain(&search, parts.domain, resolver->transport_parents_plain, true);
    return status;
}

/* --- access(5) ----------------------------------------------------------------------- */

static enum table_status find_access(struct search *search, const char *address, struct arena *arena)
{
    struct key_parts parts = split_key(search->resolver, address);
    enum table_status status = search_address(search, parts.whole, parts.has_at, false);
    if (status == TABLE_NOT_FOUND && parts.extension > 0)
        status = search_without_extension(search, &parts, arena);
    if (status == TABLE_NOT_FOUND && parts.has_at)
        status = search_domain(search, parts.domain, search->resolver->access_parents_plain, true);
    if (status == TABLE_NOT_FOUND && parts.has_at)
        status = search_key(search, slice_range(address, parts.local.len + 1), true);
    if (status == TABLE_NOT_FOUND && parts.has_at && parts.extension > 0) {
        char *key = arena_printf(arena, "%.*s@", (int)(parts.local.len - parts.extension), address);
        status = search_key(search, slice_of(key), true);
    }
    return status;
}

/* 192.0.2.1, 192.0.2, 192.0, 192; IPv6 at colons. */
static enum table_status find_network(struct search *search, const char *address)
{
    struct slice key = slice_of(address);
    char separator = strchr(address, ':') != NULL ? ':' : '.';
    bool partial = false;
    for (;;) {
        enum table_status status = search_key(search, key, partial);
        const char *last = key.len > 0 ? memrchr(key.data, separator, key.len) : NULL;
        if (status != TABLE_NOT_FOUND || last == NULL)
            return status;
        key.len = (size_t)(last - key.data);
        partial = true;
    }
}

/*
 * What smtpd(8) looks up: complete, with routes through our own domains taken off, and in lower case (other tables fold by
 * themselves, patterns do not).
 */
static const char *access_address(struct resolver *resolver, const char *key, struct arena *arena, int64_t deadline)
{
    char *address;
    resolve_rewrite(resolver, key, arena, &address);
    const char *at = strrchr(address, '@');
    if (at != NULL && memchr(address, '%', (size_t)(at - address)) == NULL && memchr(address, '!', (size_t)(at - address)) == NULL &&
        memchr(address, '@', (size_t)(at - address)) == NULL) {
        text_lowercase(address);
        return address;
    }
    struct resolution resolution;
    resolve_address(resolver, "", address, arena, deadline, &resolution);
    char *folded = arena_strdup(arena, resolution.address);
    text_lowercase(folded);
    return folded;
}

enum table_status resolve_find_kind(struct resolver *resolver, struct maps *maps, enum table_key_kind kind, const char *key,
                                    struct arena *arena, int64_t deadline, struct found *found)
{
    struct search search = {resolver, maps, found, deadline};
    if (kind == KEY_ADDRESS)
        return resolve_find(resolver, maps, key, FIND_DEFAULT, arena, deadline, found);
    *found = (struct found){.value = STR_EMPTY, .table = ""};
    switch (kind) {
    case KEY_DOMAIN: return search_domain(&search, slice_of(key), resolver->access_parents_plain, false);
    case KEY_ADDRESS_ACCESS: return find_access(&search, access_address(resolver, key, arena, deadline), arena);
    case KEY_NETWORK: return find_network(&search, key);
    default: return search_key(&search, slice_of(key), false);
    }
}
