/* SPDX-License-Identifier: ISC */
/*
 * spf_macro: the macros of RFC 7208 7, checked and expanded. Three faults of libspf2 (CVE-2021-20314, CVE-2021-33912,
 * CVE-2023-42118) were in its expansion, which is why it never sees one. Lengths are bounded at every step. Pure; fuzzed.
 */
#include <arpa/inet.h>

#include "common/mail/hostname.h"
#include "resolver/spf_record.h"

#define DELIMITERS ".-+,/_="

/* "%{" macro-letter digits "r" delimiters "}" */
struct macro {
    char letter; /* lower case */
    bool is_escaped, is_reversed;
    unsigned parts; /* 0: all */
    struct slice delimiters;
};

/* The macro whose "%{" is at the start of the text. Returns its length; 0: malformed. */
static size_t read_macro(struct slice text, struct macro *macro)
{
    size_t at = 3;
    if (text.len < 4 || memchr("slodiphcrtv", text_lower_char(text.data[2]), 11) == NULL)
        return 0;
    *macro = (struct macro){.letter = text_lower_char(text.data[2])};
    macro->is_escaped = macro->letter != text.data[2];
    size_t digits = at;
    for (; at < text.len && text_is_digit(text.data[at]); at++)
        if (macro->parts < 1000) /* no name has more labels */
            macro->parts = macro->parts * 10 + (unsigned)(text.data[at] - '0');
    if (at > digits && macro->parts == 0) /* "MUST be nonzero" */
        return 0;
    if (at < text.len && text_lower_char(text.data[at]) == 'r') {
        macro->is_reversed = true;
        at++;
    }
    macro->delimiters = slice_range(text.data + at, 0);
    while (at < text.len && memchr(DELIMITERS, text.data[at], sizeof DELIMITERS - 1) != NULL) {
        macro->delimiters.len++;
        at++;
    }
    return at < text.len && text.data[at] == '}' ? at + 1 : 0;
}

static bool is_for_explanations(const struct macro *macro)
{
    return macro->letter == 'c' || macro->letter == 'r' || macro->letter == 't';
}

bool spf_macro_is_valid(struct slice text, bool is_explanation)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        struct macro macro;
        if ((c <= ' ' || c >= 127) && !(c == ' ' && is_explanation))
            return false;
        if (c != '%')
            continue;
        if (i + 1 == text.len)
            return false;
        if (memchr("%_-", text.data[i + 1], 3) != NULL) {
            i++;
            continue;
        }
        size_t len = text.data[i + 1] == '{' ? read_macro(slice_skip(text, i), &macro) : 0;
        if (len == 0 || (is_for_explanations(&macro) && !is_explanation))
            return false;
        i += len - 1;
    }
    return true;
}

bool spf_macro_wants_client_domain(struct slice text)
{
    for (size_t i = 0; i + 2 < text.len; i++)
        if (text.data[i] == '%' && text.data[i + 1] == '{' && text_lower_char(text.data[i + 2]) == 'p')
            return true;
    return false;
}

/* --- values ---------------------------------------------------------------------------------------- */

/* "1.2.3.4", or the 32 nibbles of an IPv6 address with dots. */
static void put_dotted_address(const char *address, struct str *out)
{
    unsigned char raw[16];
    if (strchr(address, ':') == NULL || inet_pton(AF_INET6, address, raw) != 1) {
        str_append(out, address);
        return;
    }
    for (unsigned i = 0; i < 32; i++) {
        str_append_char(out, "0123456789ABCDEF"[i % 2 == 0 ? raw[i / 2] >> 4 : raw[i / 2] & 15]);
        if (i < 31)
            str_append_char(out, '.');
    }
}

static void put_value(char letter, const struct spf_macro_values *values, struct str *out)
{
    switch (letter) {
    case 's': str_append(out, values->sender); break;
    case 'l': str_append(out, values->local_part); break;
    case 'o': str_append(out, values->sender_domain); break;
    case 'd': str_append(out, values->domain); break;
    case 'i': put_dotted_address(values->address, out); break;
    case 'p': str_append(out, values->client_domain); break;
    case 'v': str_append(out, strchr(values->address, ':') != NULL ? "ip6" : "in-addr"); break;
    case 'h': str_append(out, values->helo); break;
    case 'c': str_append(out, values->address); break;
    case 'r': str_append(out, values->receiver); break;
    default: str_printf(out, "%lld", (long long)values->now); break;
    }
}

/* RFC 3986 2.3: everything but unreserved characters becomes %XX. */
static void put_escaped(struct slice text, struct str *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (text_is_alnum(c) || memchr("-._~", c, 4) != NULL)
            str_append_char(out, c);
        else
            str_printf(out, "%%%02X", (unsigned char)c);
    }
}

static bool is_delimiter(const struct macro *macro, char c)
{
    return macro->delimiters.len == 0 ? c == '.' : memchr(macro->delimiters.data, c, macro->delimiters.len) != NULL;
}

/* Splits at delimiters, turns round, keeps the parts on the right, joins with dots (RFC 7208 7.3). */
static void put_transformed(const struct macro *macro, struct slice value, struct str *out)
{
    size_t parts = 1, skipped = 0;
    for (size_t i = 0; i < value.len; i++)
        parts += is_delimiter(macro, value.data[i]);
    if (macro->parts > 0 && macro->parts < parts)
        skipped = parts - macro->parts;
    size_t end = value.len, start = 0;
    for (size_t part = 0; part < parts; part++) {
        if (macro->is_reversed) {
            start = end;
            while (start > 0 && !is_delimiter(macro, value.data[start - 1]))
                start--;
        } else {
            end = start;
            while (end < value.len && !is_delimiter(macro, value.data[end]))
                end++;
        }
        if (part >= skipped) {
            if (part > skipped)
                str_append_char(out, '.');
            str_append_bytes(out, value.data + start, end - start);
        }
        if (macro->is_reversed)
            end = start > 0 ? start - 1 : 0;
        else
            start = end < value.len ? end + 1 : end;
    }
}

static void put_macro(const struct macro *macro, const struct spf_macro_values *values, struct str *out)
{
    struct str value = STR_EMPTY, transformed = STR_EMPTY;
    put_value(macro->letter, values, &value);
    put_transformed(macro, str_slice(&value), &transformed);
    if (macro->is_escaped)
        put_escaped(str_slice(&transformed), out);
    else
        str_append_slice(out, str_slice(&transformed));
    str_free(&value);
    str_free(&transformed);
}

bool spf_macro_expand(struct slice text, const struct spf_macro_values *values, struct str *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < text.len && out->len - before <= SPF_MAX_EXPANSION; i++) {
        struct macro macro;
        if (text.data[i] != '%') {
            str_append_char(out, text.data[i]);
            continue;
        }
        size_t len = read_macro(slice_skip(text, i), &macro);
        char next = text.data[i + 1];
        if (next == '{' && len > 0)
            put_macro(&macro, values, out);
        else
            str_append(out, next == '%' ? "%" : next == '_' ? " " : "%20");
        i += next == '{' && len > 0 ? len - 1 : 1;
    }
    return out->len - before <= SPF_MAX_EXPANSION;
}

/* --- names --------------------------------------------------------------------------------------------- */

/* Labels of 1 to 63 bytes. */
static bool has_good_labels(struct slice name)
{
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        label = name.data[i] == '.' ? 0 : label + 1;
        if (label > 63 || (label == 0 && (i == 0 || name.data[i - 1] == '.')))
            return false;
    }
    return label > 0;
}

char *spf_macro_domain(struct slice spec, const struct spf_macro_values *values, struct arena *arena)
{
    struct str name = STR_EMPTY;
    bool fits = spf_macro_expand(spec, values, &name);
    struct slice text = str_slice(&name);
    if (text.len > 0 && text.data[text.len - 1] == '.')
        text.len--;
    while (text.len > SPF_MAX_DOMAIN) {
        const char *dot = memchr(text.data, '.', text.len);
        text = dot != NULL ? slice_skip(text, (size_t)(dot + 1 - text.data)) : SLICE("");
    }
    char *copy = fits && has_good_labels(text) ? arena_slice(arena, text) : NULL;
    str_free(&name);
    return copy;
}

bool spf_domain_is_valid(const char *domain)
{
    struct slice name = slice_of(domain);
    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > SPF_MAX_DOMAIN || memchr(name.data, '.', name.len) == NULL || !has_good_labels(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] >= 128)
            return false;
    return hostname_is_valid(name);
}
