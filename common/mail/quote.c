/* SPDX-License-Identifier: ISC */
/*
 * quote: addresses for commands and headers. Used by the SMTP server's replies, the delivery agents, for log lines and for bounces.
 * Pure; cannot fail.
 */
#include "common/mail/quote.h"

static bool quote_is_special(unsigned char c)
{
    return c <= ' ' || c == 127 || strchr("<>()[]\\,;:@\"", c) != NULL;
}

static bool quote_is_dot_string(const char *start, const char *end)
{
    if (start == end || *start == '.' || end[-1] == '.')
        return false;
    for (const char *p = start; p < end; p++) {
        if (quote_is_special((unsigned char)*p) || (*p == '.' && p[1] == '.'))
            return false;
    }
    return true;
}

void quote_append_address(struct str *out, const char *address)
{
    const char *end = strrchr(address, '@');
    if (end == NULL)
        end = address + strlen(address);
    if (*address == '\0' || quote_is_dot_string(address, end)) {
        str_append(out, address);
        return;
    }
    str_append_char(out, '"');
    for (const char *p = address; p < end; p++) {
        if (*p == '"' || *p == '\\' || *p == '\r' || *p == '\n')
            str_append_char(out, '\\');
        str_append_char(out, *p);
    }
    str_append_char(out, '"');
    str_append(out, end);
}

bool quote_is_safe(const char *address)
{
    for (const unsigned char *p = (const unsigned char *)address; *p != '\0'; p++) {
        if (*p < ' ' || *p == 127)
            return false;
    }
    return true;
}

void quote_append_xtext(struct str *out, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p > ' ' && *p < 127 && *p != '+' && *p != '=') {
            str_append_char(out, (char)*p);
        } else {
            char encoded[3] = {'+', hex[*p >> 4], hex[*p & 15]};
            str_append_bytes(out, encoded, sizeof encoded);
        }
    }
}
