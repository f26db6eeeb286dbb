/* SPDX-License-Identifier: ISC */
/* dsn_parameter: what strangers ask about notifications. Called by MAIL and RCPT of the SMTP server. Pure. */
#include "common/mail/dsn_parameter.h"

#include "common/base/hex.h"
#include "common/mail/envelope.h"

bool xtext_decode(struct slice text, struct str *out)
{
    str_clear(out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '+') {
            str_append_char(out, text.data[i]);
            continue;
        }
        int byte = hex_byte(slice_skip(text, i + 1));
        if (byte <= 0) /* a NUL would cut the text short wherever it is a C string */
            return false;
        str_append_char(out, (char)byte);
        i += 2;
    }
    return memchr(str_text(out), '\0', out->len) == NULL;
}

bool dsn_parse_notify(struct slice value, uint8_t *notify)
{
    static const struct { struct slice word; uint8_t flag; } words[] = {
        {SLICE("NEVER"), NOTIFY_NEVER}, {SLICE("SUCCESS"), NOTIFY_SUCCESS},
        {SLICE("FAILURE"), NOTIFY_FAILURE}, {SLICE("DELAY"), NOTIFY_DELAY}};
    struct slice word;
    unsigned found = 0;
    while (slice_next_token(&value, ",", &word)) {
        size_t i = 0;
        while (i < 4 && !slice_equal_nocase(word, words[i].word))
            i++;
        if (i == 4)
            return false;
        found |= words[i].flag;
    }
    *notify = (uint8_t)found;
    return found != 0 && ((found & NOTIFY_NEVER) == 0 || found == NOTIFY_NEVER);
}

bool dsn_parse_return(struct slice value, uint8_t *dsn_return)
{
    if (slice_equal_nocase(value, SLICE("FULL")))
        *dsn_return = DSN_RETURN_FULL;
    else if (slice_equal_nocase(value, SLICE("HDRS")))
        *dsn_return = DSN_RETURN_HEADERS;
    else
        return false;
    return true;
}

bool dsn_parse_envelope_id(struct slice value, struct str *out)
{
    if (!xtext_decode(value, out) || out->len == 0)
        return false;
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] < ' ' || out->data[i] > '~')
            return false;
    return true;
}

bool dsn_parse_original(struct slice value, struct str *out)
{
    const char *semicolon = value.len > 0 ? memchr(value.data, ';', value.len) : NULL;
    if (semicolon == NULL || semicolon == value.data || !xtext_decode(value, out))
        return false;
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\r' || out->data[i] == '\n')
            return false;
    return true;
}
