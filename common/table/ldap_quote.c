/* SPDX-License-Identifier: ISC */
/* ldap_quote: called by ldap.c and ldap_search.c. */
#include "common/table/ldap_quote.h"

static void append_hex(struct str *out, char c)
{
    str_printf(out, "\\%02x", (unsigned char)c);
}

bool ldap_quote_filter(void *context UNUSED, struct slice text, struct str *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '*' || c == '(' || c == ')' || c == '\\' || c == '\0')
            append_hex(out, c);
        else
            str_append_char(out, c);
    }
    return true;
}

bool ldap_quote_dn(void *context UNUSED, struct slice text, struct str *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool at_edge = (c == ' ' && (i == 0 || i + 1 == text.len)) || (c == '#' && i == 0);
        if (at_edge || c == '\0' || strchr("\"+,;<=>\\", c) != NULL)
            append_hex(out, c);
        else
            str_append_char(out, c);
    }
    return true;
}

int ldap_compare_attributes(const char *wanted, const char *have)
{
    while (*wanted != '\0' && text_lower_char(*wanted) == text_lower_char(*have)) {
        wanted++;
        have++;
    }
    if (*wanted == '\0')
        return *have == '\0' || *have == ';' ? 1 : 0;
    return *wanted == ';' && *have == '\0' ? -1 : 0;
}
