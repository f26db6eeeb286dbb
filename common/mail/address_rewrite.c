/* SPDX-License-Identifier: ISC */
/*
 * address_rewrite: an address into its full form, as trivial-rewrite(8) does for mail that arrives here. Pure.
 * Works on tokens, so nothing inside quotes is taken for routing.
 */
#include "common/mail/address_rewrite.h"

static void cut_source_route(struct tokens *tokens)
{
    size_t colon = tokens_find(tokens, ':', 0);
    if (tokens->list[0].type == '@' && colon != TOKENS_NONE && colon + 1 < tokens->count)
        tokens_keep(tokens, colon + 1, tokens->count);
}

/* site!user becomes user@site; the first '!' counts. */
static void swap_bang_path(struct tokens *tokens, size_t bang)
{
    struct tokens site = tokens_part(tokens, 0, bang);
    struct tokens swapped = {.arena = tokens->arena};
    for (size_t i = bang + 1; i < tokens->count; i++)
        tokens_append(&swapped, tokens->list[i].type, tokens->list[i].text);
    tokens_append(&swapped, '@', SLICE("@"));
    for (size_t i = 0; i < site.count; i++)
        tokens_append(&swapped, site.list[i].type, site.list[i].text);
    *tokens = swapped;
}

/* Forms without '@'. */
static void add_domain(const struct rewrite_rules *rules, struct tokens *tokens)
{
    size_t bang = tokens_find(tokens, '!', 0);
    if (rules->swap_bangpath && bang != TOKENS_NONE) {
        swap_bang_path(tokens, bang);
        return;
    }
    size_t percent = tokens_find_last(tokens, '%');
    if (rules->percent_hack && percent != TOKENS_NONE) {
        tokens->list[percent] = (struct token){'@', SLICE("@")};
    } else if (rules->append_at_origin && *rules->origin != '\0') {
        tokens_append(tokens, '@', SLICE("@"));
        tokens_append_scan(tokens, slice_of(rules->origin));
    }
}

static void complete_domain(const struct rewrite_rules *rules, struct tokens *tokens)
{
    size_t at = tokens_find_last(tokens, '@');
    if (!rules->append_dot_domain || *rules->domain == '\0' || at == TOKENS_NONE ||
        at + 1 == tokens->count || tokens_find(tokens, TOKEN_LITERAL, at) != TOKENS_NONE ||
        tokens_find(tokens, '.', at) != TOKENS_NONE)
        return;
    tokens_append(tokens, '.', SLICE("."));
    tokens_append_scan(tokens, slice_of(rules->domain));
}

/* Not of "..", nor of "@.": bogus addresses stay recognisable. */
static void cut_trailing_dot(struct tokens *tokens)
{
    size_t count = tokens->count;
    if (count < 2 || tokens->list[count - 1].type != '.')
        return;
    int before = tokens->list[count - 2].type;
    if (before != '.' && before != '@')
        tokens_keep(tokens, 0, count - 1);
}

void rewrite_tokens(const struct rewrite_rules *rules, struct tokens *tokens)
{
    if (tokens->count == 0)
        return;
    if (tokens->count == 1 && tokens->list[0].type == TOKEN_QUOTED && tokens->list[0].text.len == 0)
        return;
    if (tokens->count == 1 && tokens->list[0].type == '@') {
        tokens->list[0] = (struct token){TOKEN_QUOTED, SLICE("")};
        return;
    }
    cut_source_route(tokens);
    if (tokens_find(tokens, '@', 0) == TOKENS_NONE)
        add_domain(rules, tokens);
    complete_domain(rules, tokens);
    cut_trailing_dot(tokens);
}

char *rewrite_address(const struct rewrite_rules *rules, const char *address, struct arena *arena)
{
    struct str quoted = STR_EMPTY, internal = STR_EMPTY;
    struct tokens tokens;
    char *result = arena_strdup(arena, address);
    if (*address == '\0' || rewrite_is_full(slice_of(address)))
        return result;
    address_quote_local(slice_of(address), &quoted);
    tokens_scan(&tokens, arena, slice_of(arena_slice(arena, str_slice(&quoted))));
    if (tokens.count > 0) {
        rewrite_tokens(rules, &tokens);
        tokens_internalize(&tokens, &internal);
        result = arena_slice(arena, str_slice(&internal));
    }
    str_free(&quoted);
    str_free(&internal);
    return result;
}

/* "local@label.label": one '@', nothing that needs quotes, a dot inside the domain and none at its end. */
bool rewrite_is_full(struct slice address)
{
    size_t at = SIZE_MAX, dots = 0;
    for (size_t i = 0; i < address.len; i++) {
        char c = address.data[i];
        if (c == '@') {
            if (at != SIZE_MAX || i == 0)
                return false;
            at = i;
            continue;
        }
        if (!text_is_alnum(c) && c != '.' && c != '-' && c != '_' && c != '+' && c != '=' && c != '/')
            return false;
        if (c == '.' && (i == 0 || i + 1 == address.len || address.data[i + 1] == '.' || address.data[i + 1] == '@' ||
                         address.data[i - 1] == '@'))
            return false;
        dots += at != SIZE_MAX && c == '.';
    }
    return dots > 0;
}
