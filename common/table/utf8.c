/* SPDX-License-Identifier: ISC */
/* utf8: RFC 3629, section 4. Called before keys go to a database, by postmap, and when keys are folded. Pure. */
#include "common/table/utf8.h"

#include <locale.h>
#include <stdint.h>
#include <wctype.h>

#include "common/base/mem.h"

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

/* --- case --------------------------------------------------------------------------------- */

/* The C library's tables, whatever the process's own locale. */
static wint_t lower_character(wint_t c)
{
    static locale_t unicode;
    static bool asked;
    if (!asked)
        unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    asked = true;
    return unicode != (locale_t)0 ? towlower_l(c, unicode) : c;
}

static wint_t decode(const char *text, size_t len)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    wint_t c = (unsigned char)text[0] & first_bits[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)text[i] & 0x3f);
    return c;
}

static void append_character(struct str *out, wint_t c)
{
    if (c < 0x800) {
        str_append_char(out, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            str_append_char(out, (char)(0xe0 | c >> 12));
        } else {
            str_append_char(out, (char)(0xf0 | c >> 18));
            str_append_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        str_append_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    str_append_char(out, (char)(0x80 | (c & 0x3f)));
}

void utf8_append_folded(struct str *out, struct slice text)
{
    str_reserve(out, text.len + 1);
    for (size_t at = 0; at < text.len;) {
        size_t len = text_utf8_length(slice_skip(text, at));
        wint_t c = len > 1 ? decode(text.data + at, len) : 0, lower = len > 1 ? lower_character(c) : 0;
        if (len <= 1)
            str_append_char(out, text_lower_char(text.data[at]));
        else if (lower == c || lower < 0x80)
            str_append_bytes(out, text.data + at, len);
        else
            append_character(out, lower);
        at += len > 1 ? len : 1;
    }
}
