/* SPDX-License-Identifier: ISC */
/*
 * content_type: the words of a structured MIME header. Comments and white space are skipped, quoted strings unfolded and
 * unquoted; what makes no sense is skipped up to the next semicolon. Called by mime_state. Pure: cannot fail.
 */
#include "common/cleanup/content_type.h"

#define SPECIALS "()<>@,;:\\\"/[]?="
#define MAIL_SPECIALS "()<>@,;:\\\".[]"

enum word_kind { WORD_END, WORD_ATOM, WORD_QUOTED, WORD_SPECIAL };

struct word {
    enum word_kind kind;
    char special;
    struct slice raw; /* a quoted word still has its backslashes and folds */
};

static bool is_control(char c)
{
    return (unsigned char)c < 32 || c == 127;
}

static bool is_fold_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_comment(struct slice *rest)
{
    size_t depth = 0, at = 0;
    while (at < rest->len) {
        char c = rest->data[at++];
        if (c == '\\')
            at++;
        depth += c == '(';
        if (c == ')' && --depth == 0)
            break;
    }
    *rest = slice_skip(*rest, at);
}

static struct slice take_quoted(struct slice *rest)
{
    size_t at = 1;
    while (at < rest->len && rest->data[at] != '"')
        at += rest->data[at] == '\\' ? 2 : 1;
    if (at > rest->len)
        at = rest->len;
    struct slice inside = slice_range(rest->data + 1, at - 1);
    *rest = slice_skip(*rest, at + 1);
    return inside;
}

static struct word next_word(struct slice *rest, const char *specials)
{
    while (rest->len > 0 && (is_fold_space(rest->data[0]) || rest->data[0] == '('))
        if (rest->data[0] == '(')
            skip_comment(rest);
        else
            *rest = slice_skip(*rest, 1);
    if (rest->len == 0)
        return (struct word){.kind = WORD_END};
    char c = rest->data[0];
    if (c == '"')
        return (struct word){.kind = WORD_QUOTED, .raw = take_quoted(rest)};
    if (c == '\0' || strchr(specials, c) != NULL || is_control(c)) {
        *rest = slice_skip(*rest, 1);
        return (struct word){.kind = WORD_SPECIAL, .special = c};
    }
    size_t len = 1;
    while (len < rest->len && rest->data[len] != '\0' && strchr(specials, rest->data[len]) == NULL &&
           !is_control(rest->data[len]) && rest->data[len] != ' ')
        len++;
    struct word word = {.kind = WORD_ATOM, .raw = slice_range(rest->data, len)};
    *rest = slice_skip(*rest, len);
    return word;
}

static bool word_is(struct word word, const char *text)
{
    return word.kind == WORD_ATOM && slice_equal_nocase(word.raw, slice_of(text));
}

/* The first three words before the next semicolon; WORD_END for what is not there. False at the end of the header. */
static bool next_clause(struct slice *rest, struct word words[3])
{
    size_t count = 0;
    for (;;) {
        struct word word = next_word(rest, SPECIALS);
        if (word.kind == WORD_END && count == 0)
            return false;
        if (word.kind == WORD_END || (word.kind == WORD_SPECIAL && word.special == ';'))
            break;
        if (count < 3)
            words[count] = word;
        count++;
    }
    for (; count < 3; count++)
        words[count] = (struct word){.kind = WORD_END};
    return true;
}

static uint8_t subtype_of(uint8_t type, struct word word)
{
    static const struct { uint8_t type; const char *name; uint8_t subtype; } table[] = {
        {TYPE_TEXT, "plain", SUBTYPE_PLAIN},
        {TYPE_MESSAGE, "rfc822", SUBTYPE_RFC822},
        {TYPE_MESSAGE, "partial", SUBTYPE_PARTIAL},
        {TYPE_MESSAGE, "external-body", SUBTYPE_EXTERNAL},
        {TYPE_MESSAGE, "global", SUBTYPE_GLOBAL},
        {TYPE_MULTIPART, "digest", SUBTYPE_DIGEST},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].type == type && word_is(word, table[i].name))
            return table[i].subtype;
    return SUBTYPE_OTHER;
}

bool content_type_parse(struct slice value, uint8_t *type, uint8_t *subtype, struct slice *rest)
{
    struct word words[3];
    *rest = value;
    if (!next_clause(rest, words))
        return false;
    static const struct { const char *name; uint8_t type; } types[] = {
        {"text", TYPE_TEXT}, {"message", TYPE_MESSAGE}, {"multipart", TYPE_MULTIPART}};
    bool has_subtype = words[1].kind == WORD_SPECIAL && words[1].special == '/';
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (word_is(words[0], types[i].name)) {
            *type = types[i].type;
            *subtype = has_subtype ? subtype_of(*type, words[2]) : SUBTYPE_OTHER;
        }
    return true;
}

/* Folds go with the white space before them. */
static void append_unquoted(struct slice raw, struct str *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        if (c == '\n') {
            while (out->len > start && is_fold_space(out->data[out->len - 1]))
                str_truncate(out, out->len - 1);
            continue;
        }
        if (c == '\\' && ++i == raw.len)
            break;
        str_append_char(out, raw.data[i]);
    }
}

bool content_type_boundary(struct slice *rest, struct str *value)
{
    struct word words[3];
    while (next_clause(rest, words)) {
        if (!word_is(words[0], "boundary") || words[1].kind != WORD_SPECIAL || words[1].special != '=' ||
            words[2].kind == WORD_END)
            continue;
        if (words[2].kind == WORD_QUOTED)
            append_unquoted(words[2].raw, value);
        else if (words[2].kind == WORD_SPECIAL)
            str_append_char(value, words[2].special);
        else
            str_append_slice(value, words[2].raw);
        return true;
    }
    return false;
}

static const char *const encoding_names[] = {
    [ENCODING_7BIT] = "7bit", [ENCODING_8BIT] = "8bit", [ENCODING_BINARY] = "binary", [ENCODING_BASE64] = "base64",
    [ENCODING_QUOTED] = "quoted-printable"};

bool content_encoding_parse(struct slice value, uint8_t *encoding)
{
    struct word word = next_word(&value, MAIL_SPECIALS);
    for (uint8_t i = 0; i < sizeof encoding_names / sizeof encoding_names[0]; i++) {
        if (!word_is(word, encoding_names[i]))
            continue;
        *encoding = i;
        return true;
    }
    return false;
}

uint8_t content_encoding_domain(uint8_t encoding)
{
    return encoding == ENCODING_BASE64 || encoding == ENCODING_QUOTED ? ENCODING_7BIT : encoding;
}

const char *content_encoding_name(uint8_t encoding)
{
    return encoding_names[encoding];
}
