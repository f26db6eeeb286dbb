/* SPDX-License-Identifier: ISC */
/* hex: see the header. */
#include "common/base/hex.h"

int hex_value(char c)
{
    if (text_is_digit(c))
        return c - '0';
    c = text_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_byte(struct slice text)
{
    int high = text.len >= 2 ? hex_value(text.data[0]) : -1, low = text.len >= 2 ? hex_value(text.data[1]) : -1;
    return high >= 0 && low >= 0 ? high * 16 + low : -1;
}

void str_append_hex(struct str *out, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    str_reserve(out, bytes.len * 2);
    for (size_t i = 0; i < bytes.len; i++) {
        str_append_char(out, digits[(unsigned char)bytes.data[i] >> 4]);
        str_append_char(out, digits[(unsigned char)bytes.data[i] & 15]);
    }
}

bool str_decode_hex(struct str *out, struct slice digits)
{
    if (digits.len % 2 != 0)
        return false;
    str_reserve(out, digits.len / 2);
    for (; digits.len > 0; digits = slice_skip(digits, 2)) {
        int byte = hex_byte(digits);
        if (byte < 0)
            return false;
        str_append_char(out, (char)byte);
    }
    return true;
}
