/* SPDX-License-Identifier: ISC */
/* hostname: syntax of host names and address literals. Used by address parsing and the HELO restrictions. Pure. */
#include "common/mail/hostname.h"

#include <arpa/inet.h>

#define NAME_LIMIT 255
#define LABEL_LIMIT 63

static bool label_is_valid(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_LIMIT || label.data[0] == '-' || label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        unsigned char c = (unsigned char)label.data[i];
        if (!text_is_alnum((char)c) && c != '-' && c != '_' && c < 0x80)
            return false;
    }
    return true;
}

bool hostname_is_valid(struct slice name)
{
    bool only_digits = true;
    if (name.len == 0 || name.len > NAME_LIMIT)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!text_is_digit(name.data[i]) && name.data[i] != '.')
            only_digits = false;
    if (only_digits)
        return false;
    for (;;) {
        const char *dot = memchr(name.data, '.', name.len);
        if (dot == NULL)
            return label_is_valid(name);
        size_t len = (size_t)(dot - name.data);
        if (!label_is_valid(slice_range(name.data, len)))
            return false;
        name = slice_skip(name, len + 1);
        if (name.len == 0)
            return false;
    }
}

bool hostname_is_address(struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, address) == 1 || inet_pton(AF_INET6, copy, address) == 1;
}

bool hostname_is_literal(struct slice text)
{
    if (text.len < 3 || text.data[0] != '[' || text.data[text.len - 1] != ']')
        return false;
    struct slice inside = slice_range(text.data + 1, text.len - 2);
    bool is_ipv6 = slice_starts_with_nocase(inside, SLICE("IPv6:"));
    if (is_ipv6)
        inside = slice_skip(inside, 5);
    return hostname_is_address(inside) && is_ipv6 == (memchr(inside.data, ':', inside.len) != NULL);
}
