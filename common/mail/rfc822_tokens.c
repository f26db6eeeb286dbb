/* SPDX-License-Identifier: ISC */
/*
 * rfc822_tokens: from text to RFC 5322 tokens and back. Called by the address resolver and by the reader of
 * aliases(5). Pure: every text is tokens of some kind, so nothing here can fail.
 */
#include "common/mail/rfc822_tokens.h"

#define SPECIALS "()<>@,;:\\\".[]"
#define OPERATORS "|%!" SPECIALS

static bool is_operator(char c)
{
    return c != '\0' && strchr(OPERATORS, c) != NULL;
}

static bool is_control(char c)
{
    return (unsigned char)c < 32 || c == 127;
}

/* 8-bit characters are left alone: an atom of them is still an atom. */
static bool needs_quotes(char c)
{
    return c == ' ' || is_control(c) || strchr(SPECIALS, c) != NULL;
}

void tokens_append(struct tokens *tokens, int type, struct slice text)
{
    if (tokens->count == tokens->capacity) {
        size_t capacity = tokens->capacity == 0 ? 16 : tokens->capacity * 2;
        struct token *larger = arena_alloc_array(tokens->arena, capacity, sizeof *larger);
        if (tokens->count > 0)
            memcpy(larger, tokens->list, tokens->count * sizeof *larger);
        tokens->list = larger;
        tokens->capacity = capacity;
    }
    tokens->list[tokens->count++] = (struct token){type, text};
}

/* A line end inside a word is white space. */
static char unfold(char c)
{
    return c == '\t' || c == '\r' || c == '\n' ? ' ' : c;
}

/* Text up to and past the closing character, backslashes resolved. */
static struct slice scan_until(struct arena *arena, struct slice *rest, char close)
{
    size_t used = 0, at = 0, end = 0;
    while (end < rest->len && rest->data[end] != close)
        end += rest->data[end] == '\\' ? 2 : 1;
    if (end > rest->len)
        end = rest->len;
    char *text = arena_alloc(arena, end + 1);
    while (at < end) {
        if (rest->data[at] == '\\' && ++at == end)
            break;
        text[used++] = unfold(rest->data[at++]);
    }
    *rest = slice_skip(*rest, end + 1);
    return slice_range(text, used);
}

static struct slice scan_comment(struct arena *arena, struct slice *rest)
{
    size_t at = 0;
    unsigned level = 0;
    while (at < rest->len) {
        char c = rest->data[at++];
        if (c == '\\' && at < rest->len)
            at++;
        level += c == '(';
        if (c == ')' && --level == 0)
            break;
    }
    char *text = arena_alloc(arena, at + 2);
    for (size_t i = 0; i < at; i++) /* a line end here must not become one of a header */
        text[i] = rest->data[i] == '\n' || rest->data[i] == '\r' ? ' ' : rest->data[i];
    if (level > 0)
        text[at] = ')';
    *rest = slice_skip(*rest, at);
    return slice_range(text, at + (level > 0));
}

static void scan_atom(struct tokens *tokens, struct slice *rest)
{
    size_t used = 0, at = 0, end = 0;
    bool odd = false;
    while (end < rest->len && !text_is_space(rest->data[end]) && (rest->data[end] == '\\' || !is_operator(rest->data[end])))
        end += rest->data[end] == '\\' ? 2 : 1;
    if (end > rest->len)
        end = rest->len;
    char *text = arena_alloc(tokens->arena, end + 1);
    while (at < end) {
        if (rest->data[at] == '\\' && ++at == end)
            break;
        text[used] = unfold(rest->data[at++]);
        odd = odd || needs_quotes(text[used++]);
    }
    *rest = slice_skip(*rest, end);
    tokens_append(tokens, odd ? TOKEN_QUOTED : TOKEN_ATOM, slice_range(text, used));
}

void tokens_append_scan(struct tokens *tokens, struct slice rest)
{
    while (rest.len > 0) {
        char c = rest.data[0];
        if (text_is_space(c)) {
            rest = slice_skip(rest, 1);
        } else if (c == '(') {
            tokens_append(tokens, TOKEN_COMMENT, scan_comment(tokens->arena, &rest));
        } else if (c == '[') {
            rest = slice_skip(rest, 1);
            tokens_append(tokens, TOKEN_LITERAL, scan_until(tokens->arena, &rest, ']'));
        } else if (c == '"') {
            rest = slice_skip(rest, 1);
            tokens_append(tokens, TOKEN_QUOTED, scan_until(tokens->arena, &rest, '"'));
        } else if (c != '\\' && is_operator(c)) {
            tokens_append(tokens, c, slice_range(rest.data, 1));
            rest = slice_skip(rest, 1);
        } else {
            scan_atom(tokens, &rest);
        }
    }
}

void tokens_scan(struct tokens *tokens, struct arena *arena, struct slice text)
{
    *tokens = (struct tokens){.arena = arena};
    tokens_append_scan(tokens, text);
}

void tokens_keep(struct tokens *tokens, size_t from, size_t to)
{
    *tokens = tokens_part(tokens, from, to);
}

struct tokens tokens_part(const struct tokens *tokens, size_t from, size_t to)
{
    struct tokens part = {.arena = tokens->arena};
    if (from < to && to <= tokens->count) {
        part.list = tokens->list + from;
        part.count = to - from;
        part.capacity = part.count; /* growing copies: the rest belongs to the whole */
    }
    return part;
}

size_t tokens_find(const struct tokens *tokens, int type, size_t from)
{
    for (size_t i = from; i < tokens->count; i++)
        if (tokens->list[i].type == type)
            return i;
    return TOKENS_NONE;
}

size_t tokens_find_last(const struct tokens *tokens, int type)
{
    for (size_t i = tokens->count; i > 0; i--)
        if (tokens->list[i - 1].type == type)
            return i - 1;
    return TOKENS_NONE;
}

static bool is_word(const struct token *token)
{
    return token->type >= TOKEN_ATOM;
}

/* Two words side by side were separated by white space; a bracket stands apart. */
static bool blank_follows(const struct tokens *tokens, size_t i)
{
    return i + 1 < tokens->count && ((is_word(&tokens->list[i]) && is_word(&tokens->list[i + 1])) ||
                                     tokens->list[i + 1].type == '<');
}

static void append_escaped(struct str *out, struct slice text, const char *escape)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '\0' && strchr(escape, text.data[i]) != NULL)
            str_append_char(out, '\\');
        str_append_char(out, text.data[i]);
    }
}

static void append_literal(struct str *out, struct slice text)
{
    str_append_char(out, '[');
    append_escaped(out, text, "\\\r\n");
    str_append_char(out, ']');
}

void tokens_internalize(const struct tokens *tokens, struct str *out)
{
    for (size_t i = 0; i < tokens->count; i++) {
        const struct token *token = &tokens->list[i];
        if (token->type == TOKEN_LITERAL)
            append_literal(out, token->text);
        else
            str_append_slice(out, token->text);
        if (token->type == ',' || blank_follows(tokens, i))
            str_append_char(out, ' ');
    }
}

static void append_quoted(struct str *out, struct slice text)
{
    str_append_char(out, '"');
    append_escaped(out, text, "\"\\\r\n");
    str_append_char(out, '"');
}

void tokens_externalize(const struct tokens *tokens, struct str *out)
{
    for (size_t i = 0; i < tokens->count; i++) {
        const struct token *token = &tokens->list[i];
        if (token->type == TOKEN_QUOTED)
            append_quoted(out, token->text);
        else if (token->type == TOKEN_LITERAL)
            append_literal(out, token->text);
        else
            str_append_slice(out, token->text);
        if (token->type == ',' || blank_follows(tokens, i))
            str_append_char(out, ' ');
    }
}

/* RFC 5322 section 3.2.3 dot-atom, 8-bit characters allowed. */
static bool is_dot_string(struct slice local)
{
    if (local.len == 0 || local.data[0] == '.' || local.data[local.len - 1] == '.')
        return false;
    for (size_t i = 0; i < local.len; i++) {
        char c = local.data[i];
        if (c == '.' ? local.data[i - 1] == '.' : needs_quotes(c))
            return false;
    }
    return true;
}

void address_quote_bare_local(struct slice local, struct str *out)
{
    if (is_dot_string(local))
        str_append_slice(out, local);
    else
        append_quoted(out, local);
}

void address_quote_local(struct slice internal, struct str *out)
{
    const char *at = internal.len > 0 ? memrchr(internal.data, '@', internal.len) : NULL;
    size_t local_len = at != NULL ? (size_t)(at - internal.data) : internal.len;
    address_quote_bare_local(slice_range(internal.data, local_len), out);
    str_append_slice(out, slice_skip(internal, local_len));
}

void address_unquote_local(struct slice external, struct str *out)
{
    const char *at = external.len > 0 ? memrchr(external.data, '@', external.len) : NULL;
    size_t local_len = at != NULL ? (size_t)(at - external.data) : external.len;
    for (size_t i = 0; i < local_len; i++) {
        if (external.data[i] == '"')
            continue;
        if (external.data[i] == '\\' && ++i == local_len)
            break;
        str_append_char(out, external.data[i]);
    }
    str_append_slice(out, slice_skip(external, local_len));
}
