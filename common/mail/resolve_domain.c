/* SPDX-License-Identifier: ISC */
/* resolve_domain: syntax of domains and address literals. Pure; called by the address resolver. */
#include "common/mail/resolve_domain.h"

#include <arpa/inet.h>

#define DOMAIN_MAX 255
#define LABEL_MAX 63

static bool is_label_char(char c)
{
    return text_is_alnum(c) || c == '_' || c == '-' || (unsigned char)c > 127;
}

static bool label_is_valid(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.data[0] == '-' || label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_label_char(label.data[i]))
            return false;
    return true;
}

static bool is_number(struct slice label)
{
    for (size_t i = 0; i < label.len; i++)
        if (!text_is_digit(label.data[i]))
            return false;
    return true;
}

bool domain_is_valid(struct slice domain)
{
    bool all_numbers = true;
    if (domain.len == 0 || domain.len > DOMAIN_MAX)
        return false;
    for (size_t start = 0; start <= domain.len;) {
        const char *dot = start < domain.len ? memchr(domain.data + start, '.', domain.len - start) : NULL;
        size_t end = dot != NULL ? (size_t)(dot - domain.data) : domain.len;
        struct slice label = slice_range(domain.data + start, end - start);
        if (!label_is_valid(label))
            return false;
        all_numbers = all_numbers && is_number(label);
        start = end + 1;
    }
    return !all_numbers;
}

static bool parses_as(int family, struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, bytes) == 1;
}

bool domain_is_bare_address(struct slice domain)
{
    return parses_as(AF_INET, domain) || parses_as(AF_INET6, domain);
}

bool domain_is_valid_literal(struct slice domain)
{
    struct slice prefix = SLICE("ipv6:");
    if (domain.len < 3 || domain.data[0] != '[' || domain.data[domain.len - 1] != ']')
        return false;
    struct slice inside = slice_range(domain.data + 1, domain.len - 2);
    if (slice_starts_with_nocase(inside, prefix))
        return parses_as(AF_INET6, slice_skip(inside, prefix.len));
    return parses_as(AF_INET, inside);
}
