/* SPDX-License-Identifier: ISC */
/*
 * resolve_canonical: canonical(5) mapping, address masquerading and automatic copies (ADDRESS_REWRITING), in the order
 * in which cleanup(8) does them. Called by lookup for envelope recipients (inside ADDRESS) and for what REWRITE asks. A
 * table that fails is logged in cleanup's words and fails the message.
 */
#include <stdlib.h>

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/resolve_internal.h"

#define MAX_ROUNDS 10
#define ADDRESSES_AT_ONCE 64 /* of a message with thousands: then others have their turn */

struct canonical_maps {
    struct maps *maps;
    unsigned roles; /* enum address_role: where they count */
};

struct canonical {
    struct canonical_maps sender, recipient, common;
    struct maps *sender_bcc, *recipient_bcc;
    char **masquerade; /* in lower case, each may begin with '!' */
    size_t masquerade_count;
    unsigned masquerade_roles;
    struct match_list *exceptions;
    bool has_exceptions, propagate;
    const char *always_bcc;
};

/* --- settings ---------------------------------------------------------------------------- */

static unsigned read_roles(const struct config *config, const char *parameter)
{
    static const struct { const char *word; enum address_role role; } words[] = {
        {"envelope_sender", ROLE_ENVELOPE_SENDER}, {"envelope_recipient", ROLE_ENVELOPE_RECIPIENT},
        {"header_sender", ROLE_HEADER_SENDER}, {"header_recipient", ROLE_HEADER_RECIPIENT}};
    unsigned roles = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (resolver_list_has(config, parameter, words[i].word))
            roles |= words[i].role;
    return roles;
}

static struct maps *open_maps(struct resolver *resolver, const char *parameter)
{
    struct maps *maps = maps_open(parameter, config_string(resolver->config, parameter), resolver->config, TABLE_FOLD_KEY);
    resolver->may_wait = resolver->may_wait || maps_may_wait(maps);
    return maps;
}

void canonical_open(struct resolver *resolver)
{
    const struct config *config = resolver->config;
    struct canonical *c = resolver->canonical = mem_alloc(sizeof *c);
    c->sender = (struct canonical_maps){open_maps(resolver, "sender_canonical_maps"),
                                        read_roles(config, "sender_canonical_classes")};
    c->recipient = (struct canonical_maps){open_maps(resolver, "recipient_canonical_maps"),
                                           read_roles(config, "recipient_canonical_classes")};
    c->common = (struct canonical_maps){open_maps(resolver, "canonical_maps"), read_roles(config, "canonical_classes")};
    c->sender_bcc = open_maps(resolver, "sender_bcc_maps");
    c->recipient_bcc = open_maps(resolver, "recipient_bcc_maps");
    c->masquerade_count = config_split_list(config_string(config, "masquerade_domains"), resolver->arena, &c->masquerade);
    for (size_t i = 0; i < c->masquerade_count; i++)
        text_lowercase(c->masquerade[i]);
    c->masquerade_roles = read_roles(config, "masquerade_classes");
    c->has_exceptions = *config_string(config, "masquerade_exceptions") != '\0';
    c->exceptions = match_list_open("masquerade_exceptions", config_string(config, "masquerade_exceptions"), MATCH_STRING,
                                    config);
    resolver->may_wait = resolver->may_wait || match_list_may_wait(c->exceptions);
    c->propagate = resolver_list_has(config, "propagate_unmatched_extensions", "canonical");
    c->always_bcc = config_string(config, "always_bcc");
}

void canonical_close(struct resolver *resolver)
{
    struct canonical *c = resolver->canonical;
    maps_close(c->sender.maps);
    maps_close(c->recipient.maps);
    maps_close(c->common.maps);
    maps_close(c->sender_bcc);
    maps_close(c->recipient_bcc);
    match_list_close(c->exceptions);
    free(c);
}

/* --- mapping ------------------------------------------------------------------------------- */

static bool map_failed(const struct rewriting *rewriting, struct maps *maps, const char *about)
{
    struct str external = STR_EMPTY;
    address_quote_local(slice_of(about), &external);
    log_warning_as("cleanup", "%s: %s map lookup problem for %s -- message not accepted, try again later",
                   rewriting->queue_id, maps_title(maps), str_text(&external));
    str_free(&external);
    return false;
}

/* Again and again, until nothing is found or the address maps to itself. */
static bool map_address(const struct rewriting *rewriting, struct maps *maps, char **address)
{
    struct address_list list = {.arena = rewriting->arena};
    const char *failed;
    for (unsigned round = 0; round < MAX_ROUNDS; round++) {
        char *before = *address;
        enum table_status status = resolve_map_once(rewriting->resolver, maps, rewriting->resolver->canonical->propagate,
                                                    before, rewriting->deadline, &list, &failed);
        if (status == TABLE_ERROR)
            return map_failed(rewriting, maps, before);
        if (status == TABLE_NOT_FOUND)
            return true;
        if (list.count > 1)
            log_warning_as("cleanup", "%s: multi-valued %s entry for %s", rewriting->queue_id, maps_title(maps), before);
        *address = list.list[0];
        if (text_equal_nocase(before, *address))
            return true;
    }
    log_warning_as("cleanup", "%s: unreasonable %s map nesting for %s -- message not accepted, try again later",
                   rewriting->queue_id, maps_title(maps), *address);
    return true;
}

static bool apply(const struct rewriting *rewriting, const struct canonical_maps *canonical, unsigned role, char **address)
{
    return (canonical->roles & role) == 0 || maps_is_empty(canonical->maps) ||
           map_address(rewriting, canonical->maps, address);
}

/* --- masquerading ---------------------------------------------------------------------------- */

/* What the domain becomes; NULL: it stays. The first entry that fits decides. */
static const char *masquerade_as(const struct canonical *c, const char *domain)
{
    size_t len = strlen(domain);
    for (size_t i = 0; i < c->masquerade_count; i++) {
        const char *parent = c->masquerade[i];
        bool hides = true;
        for (; *parent == '!'; parent++)
            hides = !hides;
        size_t parent_len = strlen(parent);
        if (parent_len == 0 || parent_len > len || strcmp(domain + len - parent_len, parent) != 0)
            continue;
        if (parent_len == len)
            return NULL;
        if (domain[len - parent_len - 1] == '.')
            return hides ? parent : NULL;
    }
    return NULL;
}

static bool masquerade(const struct rewriting *rewriting, char **address)
{
    const struct canonical *c = rewriting->resolver->canonical;
    const char *at = strrchr(*address, '@');
    if (at == NULL)
        return true;
    struct slice local = slice_range(*address, (size_t)(at - *address));
    enum match_status excepted = !c->has_exceptions ? MATCH_NO :
                                 match_list_find(c->exceptions, local, rewriting->deadline);
    if (excepted == MATCH_ERROR)
        log_info_as("cleanup", "%s: masquerade_exceptions map lookup problem -- message not accepted, try again later",
                    rewriting->queue_id);
    if (excepted != MATCH_NO)
        return excepted == MATCH_YES;
    char *domain = arena_strdup(rewriting->arena, at + 1);
    text_lowercase(domain);
    const char *parent = masquerade_as(c, domain);
    if (parent != NULL)
        *address = arena_printf(rewriting->arena, "%.*s@%s", SLICE_ARGS(local), parent);
    return true;
}

bool resolve_canonical(const struct rewriting *rewriting, unsigned role, char **address)
{
    const struct canonical *c = rewriting->resolver->canonical;
    bool is_sender = (role & (ROLE_ENVELOPE_SENDER | ROLE_HEADER_SENDER)) != 0;
    if (!apply(rewriting, is_sender ? &c->sender : &c->recipient, role, address) ||
        !apply(rewriting, &c->common, role, address))
        return false;
    return (c->masquerade_roles & role) == 0 || c->masquerade_count == 0 || masquerade(rewriting, address);
}

enum table_status resolve_canonical_knows(struct resolver *resolver, const char *address, bool is_sender,
                                          struct arena *arena, int64_t deadline, const char **failed)
{
    const struct canonical *c = resolver->canonical;
    struct maps *const lists[] = {c->recipient.maps, is_sender ? c->sender.maps : NULL, c->common.maps};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct found found;
        if (lists[i] == NULL || maps_is_empty(lists[i]))
            continue;
        enum table_status status = resolve_find(resolver, lists[i], address, FIND_DEFAULT, arena, deadline, &found);
        str_free(&found.value);
        *failed = found.table;
        if (status != TABLE_NOT_FOUND)
            return status;
    }
    return TABLE_NOT_FOUND;
}

/* --- automatic copies -------------------------------------------------------------------------- */

static void add_recipient(struct rewriting *rewriting, char *address, char *original)
{
    if (rewriting->copy_count == rewriting->copy_room) {
        size_t room = rewriting->copy_room == 0 ? 4 : rewriting->copy_room * 2;
        struct recipient *larger = arena_alloc_array(rewriting->arena, room, sizeof *larger);
        if (rewriting->copy_count > 0)
            memcpy(larger, rewriting->copies, rewriting->copy_count * sizeof *larger);
        rewriting->copies = larger;
        rewriting->copy_room = room;
    }
    rewriting->copies[rewriting->copy_count++] = (struct recipient){
        .address = address, .original = original, .dsn_original = arena_strdup(rewriting->arena, ""), .notify = NOTIFY_NEVER};
}

bool resolve_copy(struct rewriting *rewriting, const char *to)
{
    struct address_answer answer = {.expanded_count = 0};
    char *address;
    resolve_rewrite(rewriting->resolver, to, rewriting->arena, &address);
    if (rewriting->no_maps) {
        add_recipient(rewriting, address, address);
        return true;
    }
    if (!resolve_canonical(rewriting, ROLE_ENVELOPE_RECIPIENT, &address))
        return false;
    if (resolve_expand(rewriting->resolver, address, rewriting->arena, rewriting->deadline, &answer) == TABLE_ERROR ||
        answer.expansion_failed)
        return false;
    for (size_t i = 0; i < answer.expanded_count; i++)
        add_recipient(rewriting, answer.expanded[i], address);
    return true;
}

static bool copy_by(struct rewriting *rewriting, struct maps *maps, const char *address)
{
    struct found found;
    bool good = true;
    if (maps_is_empty(maps) || *address == '\0')
        return true;
    enum table_status status = resolve_find(rewriting->resolver, maps, address, FIND_DEFAULT, rewriting->arena,
                                            rewriting->deadline, &found);
    if (status == TABLE_ERROR) {
        log_warning_as("cleanup", "%s: %s map lookup problem -- message not accepted, try again later",
                       rewriting->queue_id, maps_title(maps));
        good = false;
    } else if (status == TABLE_FOUND) {
        struct str internal = STR_EMPTY;
        address_unquote_local(str_slice(&found.value), &internal);
        good = resolve_copy(rewriting, arena_slice(rewriting->arena, str_slice(&internal)));
        str_free(&internal);
    }
    str_free(&found.value);
    return good;
}

bool resolve_copies_of_recipient(struct rewriting *rewriting, const char *address)
{
    return copy_by(rewriting, rewriting->resolver->canonical->recipient_bcc, address);
}

/* --- REWRITE ------------------------------------------------------------------------------------- */

static bool add_copies(struct rewriting *rewriting, const struct rewrite_question *question)
{
    const struct canonical *c = rewriting->resolver->canonical;
    bool good = true;
    if ((question->flags & REWRITE_SENDER_BCC) != 0)
        good = copy_by(rewriting, c->sender_bcc, question->sender);
    if (good && (question->flags & REWRITE_ALWAYS_BCC) != 0 && *c->always_bcc != '\0')
        good = resolve_copy(rewriting, c->always_bcc);
    for (size_t i = 0; good && i < question->copy_count; i++)
        good = resolve_copy(rewriting, question->copies[i]);
    return good;
}

void resolve_message(struct resolver *resolver, const struct rewrite_question *question, struct arena *arena,
                     int64_t deadline, struct rewrite_answer *answer)
{
    struct rewriting rewriting = {.resolver = resolver, .arena = arena, .deadline = deadline,
                                  .queue_id = question->queue_id, .no_maps = (question->flags & REWRITE_NO_MAPS) != 0};
    bool good = true;
    *answer = (struct rewrite_answer){.count = question->count};
    answer->addresses = arena_alloc_array(arena, question->count, sizeof *answer->addresses);
    for (size_t i = 0; i < question->count; i++) {
        answer->addresses[i] = question->addresses[i].address;
        if (good && !rewriting.no_maps)
            good = resolve_canonical(&rewriting, question->addresses[i].role, &answer->addresses[i]);
        if (i % ADDRESSES_AT_ONCE == ADDRESSES_AT_ONCE - 1 && fiber_yield() != WAIT_OK)
            good = false;
    }
    answer->failed = !good || !add_copies(&rewriting, question);
    answer->copies = rewriting.copies;
    answer->copy_count = rewriting.copy_count;
}
