/* SPDX-License-Identifier: ISC */
/* dns_reverse: an address as DNS lists and the reverse zones write it: backwards. Pure. */
#include "common/dns/dns_reverse.h"

#include <arpa/inet.h>

char *dns_reverse(const char *address, struct arena *arena)
{
    unsigned char raw[16];
    if (inet_pton(AF_INET, address, raw) == 1)
        return arena_printf(arena, "%u.%u.%u.%u", raw[3], raw[2], raw[1], raw[0]);
    if (inet_pton(AF_INET6, address, raw) != 1)
        return NULL;
    char *text = arena_alloc(arena, 64), *at = text;
    for (int i = 15; i >= 0; i--) {
        *at++ = "0123456789abcdef"[raw[i] & 15];
        *at++ = '.';
        *at++ = "0123456789abcdef"[raw[i] >> 4];
        *at++ = '.';
    }
    at[-1] = '\0';
    return text;
}

char *dns_reverse_name(const char *address, struct arena *arena)
{
    const char *reversed = dns_reverse(address, arena);
    if (reversed == NULL)
        return NULL;
    return arena_printf(arena, "%s.%s.arpa", reversed, strchr(address, ':') != NULL ? "ip6" : "in-addr");
}
