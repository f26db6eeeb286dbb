/* SPDX-License-Identifier: ISC */
/*
 * command: cuts a command line into tokens the way Postfix does, so that "MAIL FROM:<a b@c>" and
 * "MAIL FROM: a@b" mean what they mean there. Called for every line of every session. Pure; fuzzed.
 */
#include "common/smtp/server/session.h"

/* Tokens a command can have: the longest real one, MAIL with all its parameters, has ten. */
#define TOKEN_LIMIT 256

/* Skips to behind the closing character. Returns false when the line ends first. */
static bool skip_quoted(struct slice *rest, char close)
{
    unsigned depth = 0;
    char open = rest->data[0];
    *rest = slice_skip(*rest, 1);
    while (rest->len > 0) {
        char c = rest->data[0];
        *rest = slice_skip(*rest, c == '\\' ? 2 : 1);
        if (c == close && depth == 0)
            return true;
        if (open == '(' && c == '(')
            depth++;
        else if (open == '(' && c == ')')
            depth--;
        else if (open == '<' && c == '"') { /* a bracket inside quotes closes nothing */
            while (rest->len > 0 && rest->data[0] != '"')
                *rest = slice_skip(*rest, rest->data[0] == '\\' ? 2 : 1);
            *rest = slice_skip(*rest, 1);
        }
    }
    return false;
}

static bool is_path_prefix(struct slice text)
{
    return slice_equal_nocase(text, SLICE("from:")) || slice_equal_nocase(text, SLICE("to:"));
}

static struct slice next_token(struct slice *rest, bool *broken)
{
    const char *start = rest->data;
    *broken = false;
    while (rest->len > 0 && !text_is_space(rest->data[0])) {
        char c = rest->data[0];
        char close = c == '<' ? '>' : c == '"' ? '"' : c == '(' ? ')' : '\0';
        if (close != '\0')
            *broken |= !skip_quoted(rest, close);
        else
            *rest = slice_skip(*rest, c == '\\' ? 2 : 1);
        if (c == ':' && is_path_prefix(slice_range(start, (size_t)(rest->data - start))))
            break; /* "FROM:<a@b>" and "FROM: <a@b>" are the same */
    }
    return slice_range(start, (size_t)(rest->data - start));
}

void smtp_command_parse(struct slice line, struct arena *arena, struct smtp_command *command)
{
    struct slice rest = line;
    size_t room = line.len / 2 + 2;
    if (room > TOKEN_LIMIT)
        room = TOKEN_LIMIT;
    command->line = line;
    command->count = 0;
    command->tokens = arena_alloc_array(arena, room, sizeof(struct smtp_token));
    while (command->count < room) {
        while (rest.len > 0 && text_is_space(rest.data[0]))
            rest = slice_skip(rest, 1);
        if (rest.len == 0)
            return;
        struct smtp_token *token = &command->tokens[command->count++];
        struct slice text = next_token(&rest, &token->is_broken);
        token->text = arena_slice(arena, text);
        token->len = text.len;
        token->is_broken |= memchr(token->text, '\0', text.len) != NULL;
    }
}

size_t smtp_loggable_length(struct slice text)
{
    for (size_t start = 0; start + 5 <= text.len; start++) {
        bool is_line_start = start == 0 || text.data[start - 1] == '\n';
        if (!is_line_start || !slice_starts_with_nocase(slice_skip(text, start), SLICE("AUTH")) ||
            !text_is_space(text.data[start + 4]))
            continue;
        size_t at = start + 4;
        while (at < text.len && text_is_space(text.data[at]))
            at++;
        while (at < text.len && !text_is_space(text.data[at]))
            at++;
        return at;
    }
    return text.len;
}

struct slice smtp_token_slice(const struct smtp_token *token)
{
    return slice_range(token->text, token->len);
}

bool smtp_token_is(const struct smtp_token *token, const char *word)
{
    return slice_equal_nocase(smtp_token_slice(token), slice_of(word));
}

bool text_is_utf8(struct slice text)
{
    while (text.len > 0) {
        size_t count = text_utf8_length(text);
        if (count == 0)
            return false;
        text = slice_skip(text, count);
    }
    return true;
}
