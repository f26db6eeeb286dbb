/* SPDX-License-Identifier: ISC */
/*
 * resolve_alias: virtual(5) expansion, recursive, as cleanup(8) does it: an address may expand to itself once; too
 * many results, too deep nesting and too long results fail the recipient with 451, so nothing is lost and the
 * log says why. Called for LOOKUP_ADDRESS with ADDRESS_EXPAND.
 */
#include "common/base/log.h"
#include "common/mail/resolve_internal.h"

struct expansion {
    struct resolver *resolver;
    struct arena *arena;
    int64_t deadline;
    struct address_answer *answer;
    const char *start;
    struct address_list results;
    struct address_list settled; /* addresses that expanded to themselves */
};

void address_list_add(struct address_list *list, char *address)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        char **larger = arena_alloc_array(list->arena, capacity, sizeof *larger);
        if (list->count > 0)
            memcpy(larger, list->list, list->count * sizeof *larger);
        list->list = larger;
        list->capacity = capacity;
    }
    list->list[list->count++] = address;
}

static bool list_has(const struct address_list *list, const char *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (text_equal_nocase(list->list[i], address))
            return true;
    return false;
}

static void expansion_failed(struct expansion *expansion, const char *what, const char *about)
{
    log_warning_as("cleanup", "NOQUEUE: %s%s -- message not accepted, try again later", what, about);
    expansion->answer->expansion_failed = true;
    expansion->answer->expansion_reason = arena_strdup(expansion->arena, "4.6.0 Alias expansion error");
}

/* --- one alias's value: a list of addresses --------------------------------------------- */

/* Puts the extension that the key did not have before the '@' of the result. */
static char *with_extension(struct arena *arena, const char *address, const char *extension)
{
    const char *at = strrchr(address, '@');
    if (extension == NULL || *extension == '\0')
        return arena_strdup(arena, address);
    if (at == NULL)
        return arena_printf(arena, "%s%s", address, extension);
    return arena_printf(arena, "%.*s%s%s", (int)(at - address), address, extension, at);
}

static bool is_word(int type)
{
    return type == TOKEN_ATOM || type == TOKEN_QUOTED || type == TOKEN_LITERAL;
}

/* Where the address that begins at `from` ends: at a comma, or where a word follows a word. */
static size_t address_end(const struct tokens *tokens, size_t from)
{
    size_t angle = TOKENS_NONE;
    for (size_t i = from; i < tokens->count; i++) {
        int type = tokens->list[i].type;
        if (type == '<' && angle == TOKENS_NONE)
            angle = i;
        else if (type == '>' && angle != TOKENS_NONE)
            return i + 1;
        else if ((type == ',' || type == ';') && angle == TOKENS_NONE)
            return i;
    }
    return tokens->count;
}

/* "Anna <anna@x>" is anna@x. Comments are no part of it. */
static struct tokens without_decoration(const struct tokens *part)
{
    struct tokens clean = {.arena = part->arena};
    size_t open = tokens_find(part, '<', 0), close = tokens_find(part, '>', 0);
    size_t from = open != TOKENS_NONE ? open + 1 : 0;
    size_t to = open != TOKENS_NONE && close != TOKENS_NONE && close > open ? close : part->count;
    for (size_t i = from; i < to; i++)
        if (part->list[i].type != TOKEN_COMMENT)
            tokens_append(&clean, part->list[i].type, part->list[i].text);
    return clean;
}

static void add_address(const struct resolver *resolver, const struct tokens *address, const char *extension,
                        struct address_list *list)
{
    struct tokens copy = *address;
    struct str text = STR_EMPTY;
    resolve_rewrite_tokens(resolver, &copy);
    tokens_internalize(&copy, &text);
    address_list_add(list, with_extension(list->arena, arena_slice(list->arena, str_slice(&text)), extension));
    str_free(&text);
}

/* Words side by side without an operator are several addresses whose comma was forgotten. */
static void add_addresses(const struct resolver *resolver, const struct tokens *part, const char *extension,
                          struct address_list *list)
{
    size_t from = 0;
    for (size_t i = 1; i < part->count; i++) {
        if (!is_word(part->list[i].type) || !is_word(part->list[i - 1].type))
            continue;
        struct tokens one = tokens_part(part, from, i);
        add_address(resolver, &one, extension, list);
        from = i;
    }
    struct tokens last = tokens_part(part, from, part->count);
    if (last.count > 0)
        add_address(resolver, &last, extension, list);
}

static void parse_value(const struct resolver *resolver, const char *value, const char *extension,
                        struct address_list *list)
{
    struct tokens tokens;
    tokens_scan(&tokens, list->arena, slice_of(value));
    for (size_t from = 0; from < tokens.count;) {
        size_t to = address_end(&tokens, from);
        struct tokens part = tokens_part(&tokens, from, to);
        struct tokens clean = without_decoration(&part);
        add_addresses(resolver, &clean, extension, list);
        from = to;
        while (from < tokens.count && (tokens.list[from].type == ',' || tokens.list[from].type == ';'))
            from++;
    }
}

enum table_status resolve_map_once(struct resolver *resolver, struct maps *maps, bool propagate, const char *address,
                                   int64_t deadline, struct address_list *list, const char **failed_table)
{
    struct found found;
    list->count = 0;
    enum table_status status = resolve_find(resolver, maps, address, FIND_DEFAULT, list->arena, deadline, &found);
    if (status == TABLE_FOUND) {
        const char *value = arena_slice(list->arena, str_slice(&found.value));
        const char *at = strrchr(address, '@');
        if (*value == '@' && at != NULL) { /* the same user in another domain */
            struct str external = STR_EMPTY;
            address_quote_bare_local(slice_range(address, (size_t)(at - address)), &external);
            value = arena_printf(list->arena, "%s%s", str_text(&external), value);
            str_free(&external);
        }
        parse_value(resolver, value, propagate ? found.extension : NULL, list);
    } else if (status == TABLE_ERROR) {
        *failed_table = arena_strdup(list->arena, found.table);
    }
    str_free(&found.value);
    return status == TABLE_FOUND && list->count == 0 ? TABLE_NOT_FOUND : status;
}

static enum table_status expand_once(struct expansion *expansion, const char *address, struct address_list *list)
{
    struct resolver *resolver = expansion->resolver;
    const char *failed = NULL;
    *list = (struct address_list){.arena = expansion->arena};
    enum table_status status = resolve_map_once(resolver, resolver->alias_maps, resolver->propagate_virtual, address,
                                                expansion->deadline, list, &failed);
    if (status == TABLE_ERROR)
        expansion->answer->failed_table = arena_strdup(expansion->arena, failed);
    return status;
}

/* --- the recursion, without recursion ------------------------------------------------------ */

static bool lengths_are_fine(struct expansion *expansion, const struct address_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strlen(list->list[i]) > (size_t)expansion->resolver->address_length_limit) {
            char *about = arena_printf(expansion->arena, "%.300s...", list->list[i]);
            expansion_failed(expansion, "unreasonable virtual_alias_maps result ", about);
            return false;
        }
    }
    return true;
}

/* The first result takes the place of the address, the others go to the end of the list. */
static void replace_by(struct expansion *expansion, size_t index, const struct address_list *list)
{
    char *before = expansion->results.list[index];
    for (size_t i = 0; i < list->count; i++) {
        if (i == 0)
            expansion->results.list[index] = list->list[0];
        else
            address_list_add(&expansion->results, list->list[i]);
        if (text_equal_nocase(before, list->list[i]))
            address_list_add(&expansion->settled, before);
    }
}

static enum table_status expand_place(struct expansion *expansion, size_t index)
{
    struct address_list seen = {.arena = expansion->arena}, list;
    enum table_status first = TABLE_NOT_FOUND;
    for (int64_t count = 0;; count++) {
        char *address = expansion->results.list[index];
        if (list_has(&expansion->settled, address))
            return first;
        /* A first result seen before in this place comes again for ever: no need to go round to the limit. */
        if (count >= expansion->resolver->recursion_limit || list_has(&seen, address)) {
            expansion_failed(expansion, "unreasonable virtual_alias_maps map nesting for ", expansion->start);
            return first;
        }
        address_list_add(&seen, address);
        enum table_status status = expand_once(expansion, address, &list);
        if (count == 0)
            first = status;
        if (status == TABLE_ERROR) {
            expansion_failed(expansion, "virtual_alias_maps map lookup problem for ", expansion->start);
            expansion->answer->expansion_reason = arena_strdup(expansion->arena, "4.3.0 queue file write error");
        }
        if (status != TABLE_FOUND || !lengths_are_fine(expansion, &list))
            return first;
        replace_by(expansion, index, &list);
    }
}

enum table_status resolve_expand(struct resolver *resolver, const char *address, struct arena *arena,
                                 int64_t deadline, struct address_answer *answer)
{
    struct expansion expansion = {
        .resolver = resolver, .arena = arena, .deadline = deadline, .answer = answer, .start = address,
        .results = {.arena = arena}, .settled = {.arena = arena},
    };
    enum table_status first = TABLE_NOT_FOUND;
    address_list_add(&expansion.results, arena_strdup(arena, address));
    for (size_t i = 0; i < expansion.results.count && !answer->expansion_failed; i++) {
        if (maps_is_empty(resolver->alias_maps))
            break;
        if (expansion.results.count > (size_t)resolver->expansion_limit) {
            expansion_failed(&expansion, "unreasonable virtual_alias_maps map expansion size for ", address);
            break;
        }
        enum table_status status = expand_place(&expansion, i);
        if (i == 0)
            first = status;
    }
    if (answer->expansion_failed) {
        expansion.results.list[0] = arena_strdup(arena, address);
        expansion.results.count = 1;
    }
    answer->expanded = expansion.results.list;
    answer->expanded_count = expansion.results.count;
    return first;
}
