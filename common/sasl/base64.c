/* SPDX-License-Identifier: ISC */
/* base64 (RFC 4648 section 4), for SASL: nothing but the alphabet, no line breaks. Pure. */
#include "common/sasl/sasl_mechanism.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
    return at != NULL ? (int)(at - alphabet) : -1;
}

bool base64_decode(struct slice text, struct str *out)
{
    size_t padding = 0;
    if (text.len % 4 != 0)
        return false;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    str_reserve(out, text.len / 4 * 3 + 1); /* at once: no copy of a secret is left behind by growing */
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t bits = 0;
        size_t count = i + 4 == text.len ? 4 - padding : 4;
        for (size_t j = 0; j < 4; j++) {
            int value = j < count ? value_of(text.data[i + j]) : 0;
            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        const char bytes[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
        str_append_bytes(out, bytes, count - 1);
    }
    return true;
}

void base64_encode(struct slice bytes, struct str *out)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t count = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (j < count ? (unsigned char)bytes.data[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            str_append_char(out, j <= count ? alphabet[bits >> (18 - 6 * j) & 63] : '=');
    }
}
