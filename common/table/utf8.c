/* SPDX-License-Identifier: ISC */
/* utf8: RFC 3629, section 4. Called before keys go to a database and by postmap. Pure. */
#include "common/table/utf8.h"

/* The length of the sequence that begins with this byte, and the bounds of its second byte. */
static size_t sequence(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        *low = first == 0xe0 ? 0xa0 : 0x80;  /* overlong */
        *high = first == 0xed ? 0x9f : 0xbf; /* surrogates */
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *low = first == 0xf0 ? 0x90 : 0x80;
        *high = first == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

bool utf8_is_valid(struct slice text)
{
    for (size_t at = 0; at < text.len;) {
        unsigned char low, high;
        size_t len = sequence((unsigned char)text.data[at], &low, &high);
        if (len == 0 || len > text.len - at)
            return false;
        for (size_t i = 1; i < len; i++) {
            unsigned char c = (unsigned char)text.data[at + i];
            if (c < low || c > high)
                return false;
            low = 0x80;
            high = 0xbf;
        }
        at += len;
    }
    return true;
}
