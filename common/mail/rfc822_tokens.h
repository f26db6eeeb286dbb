/* SPDX-License-Identifier: ISC */
/*
 * An address (or a list of them) as RFC 5322 words and operators, so that '@', '%', '!', '.' and ','
 * inside quotes are not mistaken for routing. The rewriting and resolving of addresses and the
 * aliases(5) format work on these. Pure; everything lives in the caller's arena.
 *
 * Two written forms: external, with the quotes that RFC 5321 wants ("a b"@x), and internal, without (a b@x).
 */
#ifndef POSTHORN_MAIL_RFC822_TOKENS_H
#define POSTHORN_MAIL_RFC822_TOKENS_H

#include "common/base/arena.h"
#include "common/base/str.h"

/* An operator's type is its own character. */
enum token_type {
    TOKEN_ATOM = 256,
    TOKEN_QUOTED,  /* text without quotes and backslashes */
    TOKEN_LITERAL, /* [text], without its brackets */
    TOKEN_COMMENT, /* with its parentheses */
};

struct token {
    int type;
    struct slice text;
};

struct tokens {
    struct arena *arena;
    struct token *list;
    size_t count, capacity;
};

#define TOKENS_NONE SIZE_MAX

void tokens_scan(struct tokens *tokens, struct arena *arena, struct slice text);
void tokens_append(struct tokens *tokens, int type, struct slice text);
void tokens_append_scan(struct tokens *tokens, struct slice text);
/* Keeps the tokens from `from` up to and without `to`. */
void tokens_keep(struct tokens *tokens, size_t from, size_t to);
/* Where the first (last) token of that type is, from `from` on; or TOKENS_NONE. */
size_t tokens_find(const struct tokens *tokens, int type, size_t from);
size_t tokens_find_last(const struct tokens *tokens, int type);
struct tokens tokens_part(const struct tokens *tokens, size_t from, size_t to);

void tokens_internalize(const struct tokens *tokens, struct str *out);
/* Token by token: for the right-hand side of aliases(5). */
void tokens_externalize(const struct tokens *tokens, struct str *out);

/* Internal form to external: quotes the part before the last '@' when it needs it. */
void address_quote_local(struct slice internal, struct str *out);
/* The same for a local part that stands alone (an '@' in it does not separate). */
void address_quote_bare_local(struct slice local, struct str *out);
/* External form to internal. */
void address_unquote_local(struct slice external, struct str *out);

#endif
