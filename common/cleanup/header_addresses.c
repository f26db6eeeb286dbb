/* SPDX-License-Identifier: ISC */
/*
 * header_addresses: splits an address list at its commas and brackets. Called for the headers of mail that is rewritten.
 * Every text is a list of some kind: nothing here can fail. Two words side by side are two addresses whose comma was
 * forgotten; a comment inside an address moves behind it.
 */
#include "common/cleanup/header_addresses.h"

#include "common/mail/address_rewrite.h"

#define MOST_DECORATION 250
#define FOLD_WIDTH 70

/* --- reading --------------------------------------------------------------------------------- */

struct list_reader {
    struct header_addresses *out;
    struct header_piece **end;
    size_t room;
    const struct tokens *tokens;
};

static void add_piece(struct list_reader *reader, struct header_address *address, struct token token)
{
    struct header_piece *piece = arena_alloc(reader->out->arena, sizeof *piece);
    *piece = (struct header_piece){.address = address, .token = token};
    *reader->end = piece;
    reader->end = &piece->next;
}

static void add_token(struct list_reader *reader, struct token token)
{
    add_piece(reader, NULL, token);
}

static void add_operator(struct list_reader *reader, int type, const char *text)
{
    add_token(reader, (struct token){type, slice_of(text)});
}

static void remember(struct list_reader *reader, struct header_address *address)
{
    struct header_addresses *out = reader->out;
    if (out->count == reader->room) {
        reader->room = reader->room == 0 ? 4 : reader->room * 2;
        struct header_address **larger = arena_alloc_array(out->arena, reader->room, sizeof *larger);
        if (out->count > 0)
            memcpy(larger, out->list, out->count * sizeof *larger);
        out->list = larger;
    }
    out->list[out->count++] = address;
}

/* What of [from, to) is no comment is an address, the comments follow it. */
static void add_address(struct list_reader *reader, size_t from, size_t to)
{
    struct arena *arena = reader->out->arena;
    struct header_address *address = arena_alloc(arena, sizeof *address);
    address->tokens = (struct tokens){.arena = arena};
    for (size_t i = from; i < to; i++)
        if (reader->tokens->list[i].type != TOKEN_COMMENT)
            tokens_append(&address->tokens, reader->tokens->list[i].type, reader->tokens->list[i].text);
    if (address->tokens.count > 0) {
        add_piece(reader, address, (struct token){0});
        remember(reader, address);
    }
    for (size_t i = from; i < to; i++)
        if (reader->tokens->list[i].type == TOKEN_COMMENT)
            add_token(reader, reader->tokens->list[i]);
}

static bool is_word(int type)
{
    return type == TOKEN_ATOM || type == TOKEN_QUOTED || type == TOKEN_LITERAL;
}

/* Words without operators between them, in a stretch that has no brackets. Comments do not separate. */
static void add_plain(struct list_reader *reader, size_t from, size_t to)
{
    size_t start = from, last = to; /* the last token that was no comment */
    for (size_t i = from; i < to; i++) {
        int type = reader->tokens->list[i].type;
        if (type == TOKEN_COMMENT)
            continue;
        if (last != to && is_word(type) && is_word(reader->tokens->list[last].type)) {
            add_address(reader, start, i);
            add_operator(reader, ',', ",");
            start = i;
        }
        last = i;
    }
    add_address(reader, start, to);
}

static size_t find(const struct tokens *tokens, int type, size_t from, size_t to)
{
    while (from < to && tokens->list[from].type != type) /* no further: a stranger chooses how long the list is */
        from++;
    return from < to ? from : to;
}

/* "name <address>" at the start of [from, to); returns where it ends. Of several brackets the inner ones count. */
static size_t add_bracketed(struct list_reader *reader, size_t from, size_t open, size_t close)
{
    const struct tokens *tokens = reader->tokens;
    for (size_t i = from; i <= open; i++)
        add_token(reader, tokens->list[i]);
    add_address(reader, open + 1, close);
    add_token(reader, tokens->list[close]);
    size_t end = close + 1;
    while (end < tokens->count && tokens->list[end].type == TOKEN_COMMENT)
        add_token(reader, tokens->list[end++]);
    return end;
}

/* What is between two commas: "name <address> more". */
static void add_element(struct list_reader *reader, size_t from, size_t to)
{
    const struct tokens *tokens = reader->tokens;
    for (;;) {
        size_t open = find(tokens, '<', from, to), close = find(tokens, '>', open, to);
        if (close == to) {
            add_plain(reader, from, to);
            return;
        }
        while (close + 1 < to && tokens->list[close + 1].type == '>')
            close++;
        for (size_t next = find(tokens, '<', open + 1, close); next < close; next = find(tokens, '<', open + 1, close))
            open = next;
        from = add_bracketed(reader, from, open, close);
        if (from >= to)
            return;
        add_operator(reader, ',', ",");
    }
}

static bool is_at_or_behind(size_t position, size_t at)
{
    return position != TOKENS_NONE && position >= at;
}

static void add_list(struct list_reader *reader)
{
    const struct tokens *tokens = reader->tokens;
    /* Looked up once: 10,000 brackets that each search for their end would keep everybody waiting. */
    size_t last_close = tokens_find_last(tokens, '>'), last_semicolon = tokens_find_last(tokens, ';');
    size_t from = 0;
    bool in_brackets = false, has_address = false; /* '@' or '<' since `from` */
    for (size_t i = 0; i < tokens->count; i++) {
        int type = tokens->list[i].type;
        in_brackets = type == '<' || (in_brackets && type != '>' && type != ';');
        in_brackets = in_brackets && is_at_or_behind(last_close, i);
        has_address = has_address || type == '@' || type == '<';
        /* "name: list;": a semicolon must follow, and no address may be before the colon. */
        if (type == ':' && !in_brackets && !has_address && is_at_or_behind(last_semicolon, i)) {
            for (size_t j = from; j <= i; j++)
                add_token(reader, tokens->list[j]);
            from = i + 1;
        } else if ((type == ',' && !in_brackets) || type == ';') {
            add_element(reader, from, i);
            add_token(reader, tokens->list[i]);
            from = i + 1;
            has_address = false;
            if (type == ';' && from < tokens->count && tokens->list[from].type != ',' &&
                tokens->list[from].type != TOKEN_COMMENT)
                add_operator(reader, ',', ",");
        }
    }
    add_element(reader, from, tokens->count);
}

void header_addresses_parse(struct slice value, size_t limit, struct arena *arena, struct header_addresses *addresses)
{
    struct tokens tokens;
    struct list_reader reader = {.out = addresses, .end = &addresses->pieces, .tokens = &tokens};
    *addresses = (struct header_addresses){.arena = arena};
    tokens_scan(&tokens, arena, value);
    if (limit > 0 && tokens.count > limit)
        tokens.count = limit;
    add_list(&reader);
}

/* --- writing ----------------------------------------------------------------------------------- */

static void append_address(const struct header_address *address, struct str *out)
{
    struct str internal = STR_EMPTY;
    tokens_internalize(&address->tokens, &internal);
    address_quote_local(str_slice(&internal), out);
    str_free(&internal);
}

static void append_token(const struct token *token, struct str *out)
{
    struct token copy = *token;
    const struct tokens one = {.list = &copy, .count = 1};
    tokens_externalize(&one, out);
    if (token->type == ',') /* it comes with a blank */
        str_truncate(out, out->len - 1);
}

static bool is_wordy(const struct header_piece *piece)
{
    return piece->address != NULL || piece->token.type >= TOKEN_ATOM;
}

static bool blank_follows(const struct header_piece *piece)
{
    const struct header_piece *next = piece->next;
    if (next == NULL)
        return false;
    if (piece->address == NULL && (piece->token.type == ':' || piece->token.type == ','))
        return true;
    return (next->address == NULL && next->token.type == '<') || (is_wordy(piece) && is_wordy(next));
}

struct list_writer {
    struct str line;      /* the present element */
    const struct header_address *address;
    size_t address_length;
    size_t column;        /* of the line being filled; 0: its first element is due */
    struct str *out, *stripped;
};

/* The element is complete: on this line, or on the next. */
static void end_element(struct list_writer *writer, const char *comma)
{
    if (writer->address != NULL && writer->line.len > MOST_DECORATION + writer->address_length) {
        if (writer->stripped->len == 0)
            str_append_slice(writer->stripped, str_slice(&writer->line));
        str_clear(&writer->line);
        str_append_char(&writer->line, '<');
        if (writer->address_length > 0)
            append_address(writer->address, &writer->line);
        str_append_char(&writer->line, '>');
    }
    str_append(&writer->line, comma);
    size_t len = writer->line.len;
    if (writer->column == 0 || writer->column + 1 + len < FOLD_WIDTH) {
        if (writer->column > 0)
            str_append_char(writer->out, ' ');
        writer->column += len + (writer->column > 0);
    } else {
        str_append(writer->out, "\n\t");
        writer->column = len;
    }
    str_append_slice(writer->out, str_slice(&writer->line));
    str_clear(&writer->line);
    writer->address = NULL;
    writer->address_length = 0;
}

static void write_piece(struct list_writer *writer, const struct header_piece *piece)
{
    static const struct header_address nobody;
    if (piece->address != NULL) {
        size_t before = writer->line.len;
        append_address(piece->address, &writer->line);
        writer->address = piece->address;
        writer->address_length = writer->line.len - before;
    } else {
        bool is_empty = piece->token.type == '<' && piece->next != NULL && piece->next->address == NULL &&
                        piece->next->token.type == '>';
        if (is_empty) {
            writer->address = &nobody;
            writer->address_length = 0;
        }
        append_token(&piece->token, &writer->line);
    }
}

void header_addresses_format(const struct header_addresses *addresses, struct slice name, struct str *out,
                             struct str *stripped)
{
    struct list_writer writer = {.line = STR_EMPTY, .out = out, .stripped = stripped};
    str_append_slice(out, name);
    str_append(out, ": ");
    size_t first = name.len + 2;
    writer.column = 0;
    for (const struct header_piece *piece = addresses->pieces; piece != NULL; piece = piece->next) {
        if (piece->address == NULL && piece->token.type == ',') {
            end_element(&writer, ",");
            writer.column += first;
            first = 0;
            continue;
        }
        write_piece(&writer, piece);
        if (blank_follows(piece))
            str_append_char(&writer.line, ' ');
    }
    end_element(&writer, "");
    str_append_char(out, '\n');
    str_free(&writer.line);
}

/* --- the common case --------------------------------------------------------------------------- */

/* "anna@example.com" or "Anna Example <anna@example.com>". */
static bool element_is_full(struct slice element)
{
    element = slice_trim(element);
    const char *open = element.len > 0 ? memchr(element.data, '<', element.len) : NULL;
    if (open == NULL)
        return rewrite_is_full(element);
    struct slice name = slice_range(element.data, (size_t)(open - element.data));
    for (size_t i = 0; i < name.len; i++)
        if (!text_is_alnum(name.data[i]) && !text_is_space(name.data[i]) && name.data[i] != '.' && name.data[i] != '-')
            return false;
    struct slice inside = slice_skip(element, name.len + 1);
    return inside.len > 0 && inside.data[inside.len - 1] == '>' && rewrite_is_full(slice_range(inside.data, inside.len - 1));
}

bool header_addresses_are_full(struct slice value)
{
    struct slice element;
    while (slice_next_token(&value, ",", &element))
        if (!element_is_full(element))
            return false;
    return true;
}
