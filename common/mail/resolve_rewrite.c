/* SPDX-License-Identifier: ISC */
/*
 * resolve_rewrite: an address into its canonical form, as trivial-rewrite(8) does for mail that arrives here. Pure.
 * Works on tokens, so nothing inside quotes is taken for routing.
 */
#include "common/mail/resolve_internal.h"

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
static void add_domain(const struct resolver *resolver, struct tokens *tokens)
{
    size_t bang = tokens_find(tokens, '!', 0);
    if (resolver->swap_bangpath && bang != TOKENS_NONE) {
        swap_bang_path(tokens, bang);
        return;
    }
    size_t percent = tokens_find_last(tokens, '%');
    if (resolver->percent_hack && percent != TOKENS_NONE) {
        tokens->list[percent] = (struct token){'@', SLICE("@")};
    } else if (resolver->append_at_myorigin && *resolver->myorigin != '\0') {
        tokens_append(tokens, '@', SLICE("@"));
        tokens_append_scan(tokens, slice_of(resolver->myorigin));
    }
}

static void complete_domain(const struct resolver *resolver, struct tokens *tokens)
{
    size_t at = tokens_find_last(tokens, '@');
    if (!resolver->append_dot_mydomain || *resolver->mydomain == '\0' || at == TOKENS_NONE ||
        at + 1 == tokens->count || tokens_find(tokens, TOKEN_LITERAL, at) != TOKENS_NONE ||
        tokens_find(tokens, '.', at) != TOKENS_NONE)
        return;
    tokens_append(tokens, '.', SLICE("."));
    tokens_append_scan(tokens, slice_of(resolver->mydomain));
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

void resolve_rewrite_tokens(const struct resolver *resolver, struct tokens *tokens)
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
        add_domain(resolver, tokens);
    complete_domain(resolver, tokens);
    cut_trailing_dot(tokens);
}

void resolve_rewrite(const struct resolver *resolver, const char *address, struct arena *arena, char **result)
{
    struct str quoted = STR_EMPTY, internal = STR_EMPTY;
    struct tokens tokens;
    *result = arena_strdup(arena, address);
    if (*address == '\0')
        return;
    address_quote_local(slice_of(address), &quoted);
    tokens_scan(&tokens, arena, slice_of(arena_slice(arena, str_slice(&quoted))));
    if (tokens.count > 0) {
        resolve_rewrite_tokens(resolver, &tokens);
        tokens_internalize(&tokens, &internal);
        *result = arena_slice(arena, str_slice(&internal));
    }
    str_free(&quoted);
    str_free(&internal);
}
