/* SPDX-License-Identifier: ISC */
/* A quoted piece of a key holds nothing that means something in a filter or a name, and reads back as what it was. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/ldap_quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static unsigned hex_digit(char c)
{
    const char *at = c != '\0' ? strchr("0123456789abcdef", c) : NULL;
    require(at != NULL);
    return (unsigned)(at - "0123456789abcdef");
}

static void check(struct slice text, const struct str *quoted, const char *special)
{
    size_t in = 0;
    for (size_t i = 0; i < quoted->len; i++) {
        char c = quoted->data[i];
        require(in < text.len);
        if (c == '\\') {
            require(i + 2 < quoted->len);
            c = (char)(hex_digit(quoted->data[i + 1]) << 4 | hex_digit(quoted->data[i + 2]));
            i += 2;
        } else {
            require(c != '\0' && strchr(special, c) == NULL);
        }
        require(text.data[in++] == c);
    }
    require(in == text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_range((const char *)data, size);
    struct str filter = STR_EMPTY, dn = STR_EMPTY;
    require(ldap_quote_filter(NULL, text, &filter) && ldap_quote_dn(NULL, text, &dn));
    check(text, &filter, "*()\\");
    check(text, &dn, "\"+,;<=>\\");
    if (dn.len > 0)
        require(dn.data[0] != ' ' && dn.data[0] != '#' && dn.data[dn.len - 1] != ' ');
    char *copy = mem_strndup(text.data, text.len);
    size_t half = strlen(copy) / 2;
    if (half > 0) {
        copy[half] = '\0';
        (void)ldap_compare_attributes(copy, copy + half + 1);
        require(ldap_compare_attributes(copy, copy) == 1);
    }
    free(copy);
    str_free(&filter);
    str_free(&dn);
    return 0;
}
