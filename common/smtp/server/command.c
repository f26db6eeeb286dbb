/* SPDX-License-Identifier: ISC */
/*
 * command: cuts a command line into tokens the way Postfix does, so that "MAIL FROM:<a b@c>" and
 * "MAIL FROM: a@b" mean what they mean there. Called for every line of every session. Pure; fuzzed.
 */
#include "common/smtp/server/session.h"

/* Tokens a command can have: the longest real one, MAIL with all its parameters, has ten. */
#define TOKEN_LIMIT 256

/* Skips to behind the closing character. Returns false when the line ends first. Brackets nest; one inside quotes
 * closes nothing. */
static bool skip_quoted(struct slice *rest)
{
    unsigned depth = rest->data[0] == '<';
    bool in_quotes = rest->data[0] == '"';
    *rest = slice_skip(*rest, 1);
    while (rest->len > 0 && (depth > 0 || in_quotes)) {
        char c = rest->data[0];
        *rest = slice_skip(*rest, c == '\\' ? 2 : 1);
        if (c == '"')
            in_quotes = !in_quotes;
        else if (!in_quotes && (c == '<' || c == '>'))
            depth += c == '<' ? 1u : -1u;
    }
    return depth == 0 && !in_quotes;
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
        if (c == '<' || c == '"')
            *broken |= !skip_quoted(rest);
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

const char *smtp_command_join(struct smtp_session *session, const struct smtp_command *command, size_t from, size_t end)
{
    struct str text = STR_EMPTY;
    for (size_t i = from; i < end; i++) {
        str_append(&text, i > from ? " " : "");
        str_append_slice(&text, smtp_token_slice(&command->tokens[i]));
    }
    const char *joined = arena_slice(session->scratch, str_slice(&text));
    str_free(&text);
    return joined;
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
