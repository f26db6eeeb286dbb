/* SPDX-License-Identifier: ISC */
/*
 * db_template: %s, %u, %d and their kin in queries and result formats (pgsql_table(5)). What comes from a
 * stranger goes through the caller's quoting function, and through nothing else. Pure; fuzzed.
 */
#include "common/table/db_config.h"

enum {
    NEEDS_VALUE_DOMAIN = 1,
    NEEDS_VALUE_USER = 2,
    NEEDS_KEY_DOMAIN = 4,
    NEEDS_KEY_USER = 8,
    NEEDS_PARTS_SHIFT = 4, /* the highest of %1 to %9 */
};

unsigned db_template_needs(const char *template, bool is_result)
{
    unsigned needs = 0, parts = 0;
    for (const char *c = template; *c != '\0'; c++) {
        if (*c != '%' || c[1] == '\0')
            continue;
        c++;
        if (*c == 'd')
            needs |= is_result ? NEEDS_VALUE_DOMAIN : NEEDS_KEY_DOMAIN;
        else if (*c == 'u')
            needs |= is_result ? NEEDS_VALUE_USER : NEEDS_KEY_USER;
        else if (*c == 'D')
            needs |= NEEDS_KEY_DOMAIN;
        else if (*c == 'U')
            needs |= NEEDS_KEY_USER;
        else if (*c >= '1' && *c <= '9' && (unsigned)(*c - '0') > parts)
            parts = (unsigned)(*c - '0');
    }
    return needs | parts << NEEDS_PARTS_SHIFT | (parts > 0 ? NEEDS_KEY_DOMAIN : 0);
}

bool db_template_is_valid(const char *template)
{
    for (const char *c = strchr(template, '%'); c != NULL; c = strchr(c + 2, '%'))
        if (c[1] == '\0' || strchr("%sudSUD123456789", c[1]) == NULL)
            return false;
    return true;
}

/* user@domain in its parts. Without '@' there is no domain, and the user is all of it. */
struct address_parts {
    struct slice whole, user, domain;
    bool has_domain;
};

static struct address_parts split_address(struct slice text)
{
    struct address_parts parts = {.whole = text, .user = text};
    const char *at = text.len > 0 ? memrchr(text.data, '@', text.len) : NULL;
    if (at != NULL) {
        parts.user = slice_range(text.data, (size_t)(at - text.data));
        parts.domain = slice_skip(text, parts.user.len + 1);
        parts.has_domain = true;
    }
    return parts;
}

static size_t count_labels(struct slice domain)
{
    size_t count = 0;
    struct slice rest = domain, label;
    while (slice_next_token(&rest, ".", &label))
        count++;
    return count;
}

/* The number-th label from the right, from 1. */
static struct slice label_from_right(struct slice domain, size_t number)
{
    size_t skip = count_labels(domain) - number;
    struct slice rest = domain, label = {0};
    while (slice_next_token(&rest, ".", &label) && skip-- > 0)
        continue;
    return label;
}

static bool has_needed(const struct address_parts *parts, bool domain, bool user)
{
    if (domain && (!parts->has_domain || parts->domain.len == 0))
        return false;
    return !user || parts->user.len > 0;
}

static bool can_expand(unsigned needs, const struct address_parts *value, const struct address_parts *key)
{
    size_t labels = needs >> NEEDS_PARTS_SHIFT;
    return has_needed(value, needs & NEEDS_VALUE_DOMAIN, needs & NEEDS_VALUE_USER) &&
           has_needed(key, needs & NEEDS_KEY_DOMAIN, needs & NEEDS_KEY_USER) &&
           (labels == 0 || count_labels(key->domain) >= labels);
}

static bool verbatim(void *context UNUSED, struct slice text, struct str *out)
{
    str_append_slice(out, text);
    return true;
}

static bool expand_one(char letter, const struct address_parts *value, const struct address_parts *key,
                       db_quote *quote, void *context, struct str *out)
{
    switch (letter) {
    case 's': return quote(context, value->whole, out);
    case 'u': return quote(context, value->user, out);
    case 'd': return quote(context, value->domain, out);
    case 'S': return quote(context, key->whole, out);
    case 'U': return quote(context, key->user, out);
    case 'D': return quote(context, key->domain, out);
    case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return quote(context, label_from_right(key->domain, (size_t)(letter - '0')), out);
    default: /* "%%" */
        str_append_char(out, letter);
        return true;
    }
}

static enum db_expansion expand(const char *template, const struct address_parts *value,
                                 const struct address_parts *key, db_quote *quote, void *context,
                                 struct str *out)
{
    for (const char *c = template; *c != '\0'; c++) {
        if (*c != '%' || c[1] == '\0')
            str_append_char(out, *c);
        else if (!expand_one(*++c, value, key, quote, context, out))
            return DB_UNQUOTABLE;
    }
    return DB_EXPANDED;
}

bool db_key_suffices(unsigned needs, struct slice key)
{
    struct address_parts parts = split_address(key);
    return key.len > 0 && can_expand(needs, &parts, &parts);
}

enum db_expansion db_expand_query(const char *template, unsigned needs, struct slice key, db_quote *quote,
                                    void *context, struct str *out)
{
    struct address_parts parts = split_address(key);
    if (key.len == 0 || !can_expand(needs, &parts, &parts))
        return DB_SKIPPED;
    return expand(template, &parts, &parts, quote, context, out);
}

enum db_expansion db_expand_result(const char *template, unsigned needs, struct slice value,
                                     struct slice key, struct str *out)
{
    struct address_parts value_parts = split_address(value), key_parts = split_address(key);
    if (value.len == 0 || !can_expand(needs, &value_parts, &key_parts))
        return DB_SKIPPED;
    return expand(template, &value_parts, &key_parts, verbatim, NULL, out);
}
