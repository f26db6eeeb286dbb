/* SPDX-License-Identifier: ISC */
/* dovecot_line: parses what Dovecot's auth service says. Called for every line it sends; whoever sits behind that socket
 * may be somebody else, so nothing is taken for granted. Pure. */
#include "auth/dovecot_line.h"

#include "common/sasl/sasl_mechanism.h"
#include "common/sasl/sasl_protocol.h"

#define LONGEST_NAME 1024 /* bytes of a login name */
#define LONGEST_REASON 512

/* --- fields -------------------------------------------------------------------------------------------- */

/* The text up to the next tab. False at the end of the line. */
static bool next_field(struct slice *rest, struct slice *field)
{
    if (rest->data == NULL)
        return false;
    const char *tab = rest->len > 0 ? memchr(rest->data, '\t', rest->len) : NULL;
    *field = tab != NULL ? slice_range(rest->data, (size_t)(tab - rest->data)) : *rest;
    *rest = tab != NULL ? slice_skip(*rest, field->len + 1) : slice_range(NULL, 0);
    if (tab != NULL && rest->data == NULL)
        *rest = slice_range("", 0);
    return true;
}

static char escaped_char(char c)
{
    return c == '0' ? '\0' : c == '1' ? '\001' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'n' ? '\n' : c;
}

/* "" when it is longer than max, or has a byte that no name or reason has: the client said it, so it is not the service
 * that talks nonsense. */
static const char *unescape(struct slice value, size_t max, struct arena *arena)
{
    struct str text = STR_EMPTY;
    bool good = true;
    for (size_t i = 0; i < value.len && good; i++) {
        char c = value.data[i];
        if (c == '\001' && i + 1 < value.len)
            c = escaped_char(value.data[++i]);
        good = c != '\0' && text.len < max;
        str_append_char(&text, c);
    }
    const char *copy = good ? arena_slice(arena, str_slice(&text)) : "";
    str_free(&text);
    return copy;
}

static bool get_number(struct slice *rest, uint32_t *number)
{
    struct slice field;
    uint64_t value;
    if (!next_field(rest, &field) || !slice_to_u64(field, &value) || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool split_value(struct slice field, struct slice name, struct slice *value)
{
    if (field.len <= name.len || field.data[name.len] != '=' || memcmp(field.data, name.data, name.len) != 0)
        return false;
    *value = slice_skip(field, name.len + 1);
    return true;
}

/* --- words ------------------------------------------------------------------------------------------------- */

static uint32_t trait_of(struct slice word)
{
    static const struct { struct slice word; uint32_t trait; } traits[] = {
        {{"plaintext", 9}, SASL_TRAIT_PLAINTEXT},   {{"active", 6}, SASL_TRAIT_ACTIVE},
        {{"dictionary", 10}, SASL_TRAIT_DICTIONARY}, {{"anonymous", 9}, SASL_TRAIT_ANONYMOUS},
        {{"forward-secrecy", 15}, SASL_TRAIT_FORWARD_SECRECY}, {{"mutual-auth", 11}, SASL_TRAIT_MUTUAL_AUTH},
        {{"private", 7}, SASL_TRAIT_PRIVATE}};
    for (size_t i = 0; i < sizeof traits / sizeof traits[0]; i++)
        if (slice_equal(word, traits[i].word))
            return traits[i].trait;
    return 0;
}

static bool parse_mech(struct slice rest, struct arena *arena, struct dovecot_line *parsed)
{
    struct slice field;
    if (!next_field(&rest, &field) || !sasl_mechanism_is_valid(field))
        return false;
    parsed->mechanism = arena_slice(arena, field);
    while (next_field(&rest, &field))
        parsed->traits |= trait_of(field);
    return true;
}

static bool parse_version(struct slice rest, struct dovecot_line *parsed)
{
    return get_number(&rest, &parsed->id) && get_number(&rest, &parsed->minor);
}

static bool parse_cont(struct slice rest, struct arena *arena, struct dovecot_line *parsed)
{
    struct slice field = SLICE("");
    struct str decoded = STR_EMPTY;
    if (!get_number(&rest, &parsed->id))
        return false;
    bool good = !next_field(&rest, &field) || base64_decode(field, &decoded); /* it becomes part of a reply line */
    str_free(&decoded);
    parsed->challenge = arena_slice(arena, field);
    return good;
}

static bool parse_result(struct slice rest, struct arena *arena, struct dovecot_line *parsed)
{
    struct slice field, value;
    if (!get_number(&rest, &parsed->id))
        return false;
    while (next_field(&rest, &field)) {
        if (split_value(field, SLICE("user"), &value))
            parsed->user = unescape(value, LONGEST_NAME, arena);
        else if (split_value(field, SLICE("reason"), &value))
            parsed->reason = unescape(value, LONGEST_REASON, arena);
        else if (slice_equal(field, SLICE("temp")) || slice_equal(field, SLICE("code=temp_fail")))
            parsed->is_temporary = true;
    }
    return true;
}

bool dovecot_line_parse(struct slice line, struct arena *arena, struct dovecot_line *parsed)
{
    struct slice rest = line, word;
    *parsed = (struct dovecot_line){.mechanism = "", .user = "", .reason = "", .challenge = ""};
    if (line.len == 0 || memchr(line.data, '\0', line.len) != NULL || !next_field(&rest, &word))
        return false;
    if (slice_equal(word, SLICE("OK")) || slice_equal(word, SLICE("FAIL"))) {
        parsed->word = word.len == 2 ? DOVECOT_OK : DOVECOT_FAIL;
        return parse_result(rest, arena, parsed);
    }
    if (slice_equal(word, SLICE("CONT"))) {
        parsed->word = DOVECOT_CONT;
        return parse_cont(rest, arena, parsed);
    }
    if (slice_equal(word, SLICE("MECH"))) {
        parsed->word = DOVECOT_MECH;
        return parse_mech(rest, arena, parsed);
    }
    if (slice_equal(word, SLICE("VERSION"))) {
        parsed->word = DOVECOT_VERSION;
        return parse_version(rest, parsed);
    }
    parsed->word = slice_equal(word, SLICE("DONE")) ? DOVECOT_DONE : slice_equal(word, SLICE("SPID")) ? DOVECOT_SPID :
                   DOVECOT_OTHER;
    return true;
}

void dovecot_escape(struct slice value, struct str *out)
{
    static const char plain[] = {'\0', '\001', '\t', '\r', '\n'};
    static const char code[] = {'0', '1', 't', 'r', 'n'};
    for (size_t i = 0; i < value.len; i++) {
        const char *at = memchr(plain, value.data[i], sizeof plain);
        if (at != NULL)
            str_append_char(out, '\001');
        str_append_char(out, at != NULL ? code[at - plain] : value.data[i]);
    }
}
