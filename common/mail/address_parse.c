/* SPDX-License-Identifier: ISC */
/*
 * address_parse: from the path of MAIL and RCPT to an internal address and back. Called by the SMTP
 * server for every address a stranger sends; the parser of unquoted words is Postfix's in what it takes:
 * several '@', leading and trailing dots in the local part, blanks around '@' and '.'.
 */
#include "common/mail/address_parse.h"

#include "common/mail/hostname.h"

/* What the last piece was: two words with nothing between them are an error. */
enum piece { PIECE_SEPARATOR, PIECE_ATOM, PIECE_QUOTED, PIECE_LITERAL };

struct scanner {
    struct slice rest;
    struct str *out;
    enum piece last;
    bool gap; /* white space or a comment since the last piece */
    bool strict; /* no comments */
};

static bool skip_comment(struct scanner *scanner)
{
    unsigned depth = 0;
    while (scanner->rest.len > 0) {
        char c = scanner->rest.data[0];
        scanner->rest = slice_skip(scanner->rest, c == '\\' ? 2 : 1);
        depth += c == '(';
        if (c == ')' && --depth == 0)
            break;
    }
    return !scanner->strict;
}

static bool scan_quoted(struct scanner *scanner)
{
    if (scanner->last != PIECE_SEPARATOR)
        return false;
    scanner->rest = slice_skip(scanner->rest, 1);
    while (scanner->rest.len > 0 && scanner->rest.data[0] != '"') {
        if (scanner->rest.data[0] == '\\')
            scanner->rest = slice_skip(scanner->rest, 1);
        if (scanner->rest.len == 0)
            return false;
        str_append_char(scanner->out, scanner->rest.data[0]);
        scanner->rest = slice_skip(scanner->rest, 1);
    }
    scanner->rest = slice_skip(scanner->rest, 1); /* a quote that is not closed ends with the address */
    scanner->last = PIECE_QUOTED;
    return true;
}

static bool scan_literal(struct scanner *scanner)
{
    const char *end = memchr(scanner->rest.data, ']', scanner->rest.len);
    if (scanner->last != PIECE_SEPARATOR)
        return false;
    size_t len = end != NULL ? (size_t)(end - scanner->rest.data) : scanner->rest.len;
    str_append_bytes(scanner->out, scanner->rest.data, len);
    str_append_char(scanner->out, ']'); /* a missing one is added */
    scanner->rest = slice_skip(scanner->rest, end != NULL ? len + 1 : len);
    scanner->last = PIECE_LITERAL;
    return true;
}

static bool scan_atom_char(struct scanner *scanner)
{
    if (scanner->last == PIECE_QUOTED || scanner->last == PIECE_LITERAL ||
        (scanner->last == PIECE_ATOM && scanner->gap))
        return false;
    if (scanner->rest.data[0] == '\\')
        scanner->rest = slice_skip(scanner->rest, 1);
    if (scanner->rest.len == 0)
        return false;
    str_append_char(scanner->out, scanner->rest.data[0]);
    scanner->rest = slice_skip(scanner->rest, 1);
    scanner->last = PIECE_ATOM;
    return true;
}

static bool scan_piece(struct scanner *scanner)
{
    bool ok = true;
    switch (scanner->rest.data[0]) {
    case ' ':
    case '\t':
        scanner->gap = true;
        scanner->rest = slice_skip(scanner->rest, 1);
        return true;
    case '(':
        scanner->gap = true;
        return skip_comment(scanner);
    case '@':
    case '.':
    case ':':
        str_append_char(scanner->out, scanner->rest.data[0]);
        scanner->rest = slice_skip(scanner->rest, 1);
        scanner->last = PIECE_SEPARATOR;
        break;
    case '"':
        ok = scan_quoted(scanner);
        break;
    case '[':
        ok = scan_literal(scanner);
        break;
    case '<':
    case '>':
    case ',':
    case ';':
    case ')':
        return false;
    default:
        ok = scan_atom_char(scanner);
    }
    scanner->gap = false;
    return ok;
}

/* "@a,@b:user@c": what is before the colon is a route nobody follows any more (RFC 5321 appendix F.2). */
static struct slice skip_source_route(struct slice path)
{
    if (path.len == 0 || path.data[0] != '@')
        return path;
    for (size_t i = 0; i < path.len && path.data[i] != '"' && path.data[i] != '['; i++)
        if (path.data[i] == ':')
            return slice_skip(path, i + 1);
    return path;
}

static bool is_bracketed(struct slice path)
{
    return path.len > 1 && path.data[0] == '<' && path.data[path.len - 1] == '>';
}

/* How many brackets it ends with. */
static size_t nested(struct slice path)
{
    size_t count = 0;
    while (count < path.len && path.data[path.len - 1 - count] == '>')
        count++;
    return count;
}

/* Where the unquoted bracket is, or the end. Quotes, comments and literals are stepped over. */
static size_t find_bracket(struct slice path, size_t from, char bracket)
{
    unsigned depth = 0;
    char close = '\0';
    for (size_t i = from; i < path.len; i++) {
        char c = path.data[i];
        if (c == '\\')
            i++;
        else if (depth > 0 && (c == '(' || c == ')'))
            depth += c == '(' ? 1u : -1u;
        else if (depth > 0)
            continue;
        else if (close != '\0')
            close = c == close ? '\0' : close;
        else if (c == bracket)
            return i;
        else if (c == '(')
            depth++;
        else if (c == '"' || c == '[')
            close = c == '"' ? '"' : ']';
    }
    return path.len;
}

/* What may stand beside "<address>": a name before it, comments. A separator there means a second address. */
static bool is_decoration(struct slice text, bool is_name)
{
    struct str dropped = STR_EMPTY;
    struct scanner scanner = {.rest = text, .out = &dropped};
    bool good = true;
    while (scanner.rest.len > 0 && good) {
        scanner.last = PIECE_SEPARATOR; /* words of a name need nothing between them */
        good = scanner.rest.data[0] != ':' && scan_piece(&scanner);
    }
    good = good && (is_name || dropped.len == 0);
    str_free(&dropped);
    return good;
}

/* Takes the brackets off, with what is around them. False when there is a second address. */
static bool strip_brackets(struct slice *path, bool strict)
{
    if (strict && (path->len == 0 || path->data[0] != '<'))
        return false;
    while (is_bracketed(*path) && find_bracket(*path, 1, '>') >= path->len - nested(*path))
        *path = slice_range(path->data + 1, path->len - 2);
    size_t open = find_bracket(*path, 0, '<'), close = find_bracket(*path, open, '>');
    if (open == path->len) {
        if (path->len > 0 && path->data[path->len - 1] == '>')
            path->len--;
        return true;
    }
    struct slice before = slice_range(path->data, open), after = slice_skip(*path, close + 1);
    if (strict || close == path->len || !is_decoration(before, true) || !is_decoration(after, false))
        return false;
    *path = slice_range(path->data + open + 1, close - open - 1);
    return true;
}

static bool domain_is_valid(struct slice address, bool may_be_utf8)
{
    if (memrchr(address.data, '@', address.len) == NULL)
        return true;
    struct slice domain = address_domain(address);
    if (!may_be_utf8 && !text_is_ascii(domain))
        return false;
    if (domain.len > 0 && domain.data[0] == '[')
        return hostname_is_literal(domain);
    if (domain.len > 1 && domain.data[domain.len - 1] == '.')
        domain.len--;
    return hostname_is_valid(domain);
}

static bool has_forbidden_byte(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0' || text.data[i] == '\r' || text.data[i] == '\n')
            return true;
    return false;
}

enum address_parse_status address_parse_path(struct slice path, unsigned flags, struct str *address)
{
    str_clear(address);
    path = slice_trim(path);
    if (has_forbidden_byte(path) || !strip_brackets(&path, (flags & ADDRESS_STRICT) != 0))
        return ADDRESS_MALFORMED;
    struct scanner scanner = {.rest = skip_source_route(slice_trim(path)), .out = address,
                              .strict = (flags & ADDRESS_STRICT) != 0};
    while (scanner.rest.len > 0)
        if (!scan_piece(&scanner))
            return ADDRESS_MALFORMED;
    struct slice result = str_slice(address);
    if (result.len == 0)
        return (flags & ADDRESS_ALLOW_EMPTY) != 0 ? ADDRESS_PARSED : ADDRESS_MALFORMED;
    if (result.data[0] == '@' && (flags & ADDRESS_STRICT) != 0)
        return ADDRESS_MALFORMED;
    /* A local part that looks like an option reaches commands as one. */
    if (result.data[0] == '-' && (flags & ADDRESS_ALLOW_MINUS) == 0)
        return ADDRESS_MALFORMED;
    return domain_is_valid(result, (flags & ADDRESS_UTF8) != 0) ? ADDRESS_PARSED : ADDRESS_MALFORMED;
}

struct slice address_domain(struct slice address)
{
    const char *at = address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    return at != NULL ? slice_skip(address, (size_t)(at - address.data) + 1) : SLICE("");
}

struct slice address_local_part(struct slice address)
{
    const char *at = address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    return at != NULL ? slice_range(address.data, (size_t)(at - address.data)) : address;
}
