/* SPDX-License-Identifier: ISC */
/*
 * from_addresses: who does a message say that it is from? Finds the From and Sender headers exactly as header_edit does,
 * and the addresses in them. Called by from_login.c with what a stranger sent. It errs on the side of finding too
 * many: a mail program may show any of them. Pure; fuzzed.
 */
#include "common/access/owner.h"

#include "common/mail/header_edit.h"
#include "common/mail/rfc822_tokens.h"

#define HEADER_LIMIT 8192 /* bytes: RFC 5322 has lines of a thousand */

static void add(struct from_addresses *from, const char *header, const struct tokens *tokens, struct arena *arena)
{
    struct str address = STR_EMPTY;
    if (from->count == FROM_ADDRESS_LIMIT) {
        from->is_incomplete = true;
        return;
    }
    tokens_internalize(tokens, &address);
    if (memchr(str_text(&address), '\0', address.len) != NULL) /* programs disagree about what comes behind it */
        str_clear(&address);
    from->list[from->count++] = (struct from_address){header, arena_slice(arena, str_slice(&address))};
    str_free(&address);
}

/* Tokens that make an address: all but comments. */
static struct tokens without_comments(const struct tokens *all, size_t from, size_t to, struct arena *arena)
{
    struct tokens rest = {.arena = arena};
    for (size_t i = from; i < to; i++)
        if (all->list[i].type != TOKEN_COMMENT)
            tokens_append(&rest, all->list[i].type, all->list[i].text);
    return rest;
}

static bool has_at(const struct tokens *tokens)
{
    return tokens_find(tokens, '@', 0) != TOKENS_NONE;
}

/* A source route in front (RFC 5322 4.4) is not part of the address. */
static void add_bracketed(struct from_addresses *from, const char *header, struct tokens inside, struct arena *arena)
{
    size_t colon = inside.count > 0 && inside.list[0].type == '@' ? tokens_find_last(&inside, ':') : TOKENS_NONE;
    if (colon != TOKENS_NONE)
        inside = tokens_part(&inside, colon + 1, inside.count);
    add(from, header, &inside, arena);
}

/*
 * One element of the list. Everything in brackets is an address; so is what stands outside when there are no brackets, or
 * when an '@' is in it: "boss@example.com <me@example.org>" is no name that RFC 5322 allows, and people read it.
 */
static void add_element(struct from_addresses *from, const char *header, const struct tokens *all, size_t begin,
                        size_t end, struct arena *arena)
{
    struct tokens outside = {.arena = arena};
    bool bracketed = false;
    for (size_t i = begin; i < end; i++) {
        if (all->list[i].type == '<') {
            size_t close = i + 1;
            while (close < end && all->list[close].type != '>')
                close++;
            add_bracketed(from, header, without_comments(all, i + 1, close, arena), arena);
            bracketed = true;
            i = close;
        } else if (all->list[i].type != TOKEN_COMMENT)
            tokens_append(&outside, all->list[i].type, all->list[i].text);
    }
    if ((!bracketed && outside.count > 0) || has_at(&outside))
        add(from, header, &outside, arena);
}

/* Elements end at commas and at the marks of a group, outside brackets. */
static void add_header(struct from_addresses *from, const char *header, struct slice value, struct arena *arena)
{
    struct tokens all;
    size_t begin = 0, before = from->count;
    bool in_brackets = false;
    tokens_scan(&all, arena, value);
    for (size_t i = 0; i <= all.count; i++) {
        int type = i < all.count ? all.list[i].type : ',';
        if (type == '<')
            in_brackets = true;
        else if (type == '>')
            in_brackets = false;
        if (i == all.count || (!in_brackets && (type == ',' || type == ';'))) {
            add_element(from, header, &all, begin, i, arena);
            begin = i + 1;
        } else if (!in_brackets && type == ':')
            begin = i + 1; /* the name of a group */
    }
    if (from->count == before) { /* it says nothing, or nothing that can be read: nobody owns that */
        struct tokens none = {.arena = arena};
        add(from, header, &none, arena);
    }
}

static const char *wanted_header(struct slice name)
{
    static const char *const names[] = {"From", "Sender", "Resent-From", "Resent-Sender"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_equal_nocase(name, slice_of(names[i])))
            return names[i];
    return NULL;
}

void from_addresses_collect(struct slice text, bool is_all, struct arena *arena, struct from_addresses *from)
{
    struct slice separator = header_mbox_line(text);
    *from = (struct from_addresses){.count = 0};
    text = slice_skip(text, separator.len);
    for (;;) {
        struct header_line header = header_take(&text);
        if (header.name.len == 0)
            break;
        const char *name = wanted_header(header.name);
        if (name != NULL && header.rest.len > HEADER_LIMIT)
            from->is_incomplete = true;
        else if (name != NULL)
            add_header(from, name, slice_skip(header.rest, 1), arena);
    }
    if (text.len == 0 && !is_all) /* it did not end where we can see it */
        from->is_incomplete = true;
}
