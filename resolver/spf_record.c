/* SPDX-License-Identifier: ISC */
/*
 * spf_record: the grammar of RFC 7208 12. A record is right from end to end or it is a permanent error (4.6): no term
 * is evaluated before all were read. Called by spf_check with what a name server said. Pure; fuzzed.
 */
#include "resolver/spf_record.h"

#include <arpa/inet.h>

static bool is_alpha(char c)
{
    return text_is_alnum(c) && !text_is_digit(c);
}

bool spf_record_is(struct slice text)
{
    return slice_starts_with_nocase(text, SLICE("v=spf1")) && (text.len == 6 || text.data[6] == ' ');
}

/* --- domain-spec ---------------------------------------------------------------------------- */

/* toplabel: letters, digits and '-' inside, not digits alone. */
static bool is_top_label(struct slice label)
{
    bool only_digits = true;
    for (size_t i = 0; i < label.len; i++) {
        if (!text_is_alnum(label.data[i]) && label.data[i] != '-')
            return false;
        only_digits = only_digits && text_is_digit(label.data[i]);
    }
    return label.len > 0 && !only_digits && label.data[0] != '-' && label.data[label.len - 1] != '-';
}

/* Where the text behind the last macro begins; the text is a valid macro string. */
static size_t last_literal(struct slice text)
{
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%')
            continue;
        i++;
        if (text.data[i] == '{')
            while (text.data[i] != '}')
                i++;
        start = i + 1;
    }
    return start;
}

/* domain-spec = macro-string domain-end: ends in a macro, or in a dot and a toplabel. */
static bool is_domain_spec(struct slice text)
{
    if (text.len == 0 || !spf_macro_is_valid(text, false))
        return false;
    struct slice end = slice_skip(text, last_literal(text));
    if (end.len == 0)
        return true;
    if (end.data[end.len - 1] == '.')
        end.len--;
    const char *dot = end.len > 0 ? memrchr(end.data, '.', end.len) : NULL;
    return dot != NULL && is_top_label(slice_skip(end, (size_t)(dot + 1 - end.data)));
}

/* --- CIDR lengths ------------------------------------------------------------------------------- */

/* "0", or a number without a leading zero. */
static bool read_length(struct slice digits, unsigned most, unsigned *length)
{
    uint64_t number;
    if (digits.len == 0 || digits.len > 3 || (digits.len > 1 && digits.data[0] == '0') || !slice_to_u64(digits, &number) ||
        number > most)
        return false;
    *length = (unsigned)number;
    return true;
}

/* Takes "/digits" or "//digits" off the end of the text; false: it is there and wrong. */
static bool take_length(struct slice *text, bool is_double, unsigned most, unsigned *length)
{
    size_t digits = text->len;
    while (digits > 0 && text_is_digit(text->data[digits - 1]))
        digits--;
    size_t slashes = is_double ? 2 : 1;
    if (digits < slashes || text->data[digits - 1] != '/' || (is_double && text->data[digits - 2] != '/'))
        return true;
    if (!read_length(slice_skip(*text, digits), most, length))
        return false;
    text->len = digits - slashes;
    return true;
}

static bool take_dual_length(struct slice *text, struct spf_term *term)
{
    return take_length(text, true, 128, &term->cidr6) && take_length(text, false, 32, &term->cidr4);
}

/* --- mechanisms ----------------------------------------------------------------------------------- */

static bool read_network(struct slice text, struct spf_term *term)
{
    char address[INET6_ADDRSTRLEN];
    bool is_ip4 = term->mechanism == SPF_IP4;
    if (!take_length(&text, false, is_ip4 ? 32 : 128, is_ip4 ? &term->cidr4 : &term->cidr6) || text.len >= sizeof address)
        return false;
    memcpy(address, text.data, text.len);
    address[text.len] = '\0';
    return inet_pton(is_ip4 ? AF_INET : AF_INET6, address, term->network) == 1;
}

static const struct { const char *name; enum spf_mechanism mechanism; bool needs_value, takes_value, takes_length; } mechanisms[] = {
    {"all", SPF_ALL, false, false, false}, {"include", SPF_INCLUDE, true, true, false}, {"a", SPF_A, false, true, true},
    {"mx", SPF_MX, false, true, true}, {"ptr", SPF_PTR, false, true, false}, {"ip4", SPF_IP4, true, true, false},
    {"ip6", SPF_IP6, true, true, false}, {"exists", SPF_EXISTS, true, true, false},
};

/* What follows the name: ":domain-spec" and lengths. */
static const char *read_value(struct slice rest, size_t which, struct spf_term *term)
{
    if (term->mechanism == SPF_IP4 || term->mechanism == SPF_IP6)
        return rest.len > 1 && rest.data[0] == ':' && read_network(slice_skip(rest, 1), term) ? NULL : "malformed network";
    if (mechanisms[which].takes_length && !take_dual_length(&rest, term))
        return "malformed prefix length";
    if (rest.len == 0)
        return mechanisms[which].needs_value ? "a mechanism without its domain" : NULL;
    if (rest.data[0] != ':' || !mechanisms[which].takes_value)
        return "junk behind a mechanism";
    term->domain = slice_skip(rest, 1);
    return is_domain_spec(term->domain) ? NULL : "malformed domain";
}

static const char *read_mechanism(struct slice word, struct spf_term *term)
{
    size_t len = 0;
    *term = (struct spf_term){.qualifier = '+', .cidr4 = 32, .cidr6 = 128};
    if (memchr("+-~?", word.data[0], 4) != NULL) {
        term->qualifier = word.data[0];
        word = slice_skip(word, 1);
    }
    while (len < word.len && word.data[len] != ':' && word.data[len] != '/')
        len++;
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++)
        if (slice_equal_nocase(slice_range(word.data, len), slice_of(mechanisms[i].name))) {
            term->mechanism = mechanisms[i].mechanism;
            return read_value(slice_skip(word, len), i, term);
        }
    return "unknown mechanism";
}

/* --- modifiers --------------------------------------------------------------------------------------- */

/* The length of the name in "name=..."; 0: the word is no modifier. */
static size_t modifier_name(struct slice word)
{
    size_t len = 0;
    while (len < word.len && (text_is_alnum(word.data[len]) || memchr("-_.", word.data[len], 3) != NULL))
        len++;
    return len > 0 && len < word.len && word.data[len] == '=' && is_alpha(word.data[0]) ? len : 0;
}

static const char *read_domain_once(struct slice value, struct slice *slot)
{
    if (slot->len > 0)
        return "redirect= or exp= twice";
    *slot = value;
    return is_domain_spec(value) ? NULL : "malformed domain";
}

static const char *read_modifier(struct slice word, size_t name_len, struct spf_record *record)
{
    struct slice name = slice_range(word.data, name_len), value = slice_skip(word, name_len + 1);
    if (slice_equal_nocase(name, SLICE("redirect")))
        return read_domain_once(value, &record->redirect);
    if (slice_equal_nocase(name, SLICE("exp")))
        return read_domain_once(value, &record->explanation);
    return spf_macro_is_valid(value, false) ? NULL : "malformed macro";
}

bool spf_record_parse(struct slice text, struct arena *arena, struct spf_record *record, const char **problem)
{
    struct slice rest = slice_skip(text, 6), word;
    *record = (struct spf_record){.terms = arena_alloc_array(arena, SPF_MAX_TERMS, sizeof *record->terms)};
    *problem = text.len > SPF_MAX_RECORD ? "record too long" : NULL;
    while (*problem == NULL && slice_next_token(&rest, " ", &word)) {
        size_t name_len = modifier_name(word);
        if (name_len > 0)
            *problem = read_modifier(word, name_len, record);
        else if (record->count == SPF_MAX_TERMS)
            *problem = "too many terms";
        else
            *problem = read_mechanism(word, &record->terms[record->count++]);
    }
    return *problem == NULL;
}
