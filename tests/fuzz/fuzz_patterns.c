/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any text as a pattern table and a key for it, and any bytes as what a table server says. The first byte
 * says what the rest is; a table's text and its key are separated by a NUL.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/cidr.h"
#include "common/table/regex_rules.h"
#include "common/table/socketmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void be_quiet(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static void try_rules(const struct pattern_syntax *syntax, struct slice input)
{
    const char *end = input.len > 0 ? memchr(input.data, '\0', input.len) : NULL;
    struct slice text = slice_range(input.data, end != NULL ? (size_t)(end - input.data) : input.len);
    struct slice tail = slice_skip(input, text.len + (end != NULL));
    struct str value = STR_EMPTY, key = STR_EMPTY;
    struct cidr_address address;
    str_append_slice(&key, tail);
    struct pattern_rules *rules = pattern_rules_parse(syntax, "fuzz", text, 0, be_quiet, NULL);
    struct slice subject = slice_of(str_text(&key));
    char *error = NULL;
    if (syntax != &cidr_syntax)
        (void)regex_rules_find(rules, subject, &value, &error, 0);
    else if (cidr_address_parse(subject, &address))
        (void)pattern_rules_find(rules, &address, &value);
    pattern_rules_free(rules);
    str_free(&value);
    str_free(&key);
}

static void try_inline(struct slice input)
{
    char *name = mem_strndup(input.data, input.len), *error = NULL;
    struct str text = STR_EMPTY;
    if (pattern_text_from_inline("fuzz", name, &text, &error) != (error == NULL))
        abort();
    str_free(&text);
    free(error);
    free(name);
}

static void try_replies(struct slice input)
{
    struct slice inside, rest;
    struct str value = STR_EMPTY;
    size_t used = 0;
    if (netstring_parse(input, 1000, &inside, &used) == NETSTRING_WHOLE) {
        if (used > input.len || inside.len > 1000)
            abort();
        (void)socketmap_reply_parse(inside, &rest);
    }
    (void)socketmap_reply_parse(input, &rest);
    (void)tcp_reply_parse(input, &value);
    str_clear(&value);
    tcp_quote(input, &value);
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] <= ' ' || value.data[i] == 127)
            abort();
    str_free(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice input = slice_range((const char *)data + 1, size - 1);
    switch (data[0] % 5) {
    case 0: try_rules(&regexp_syntax, input); break;
    case 1: try_rules(&cidr_syntax, input); break;
    case 2: try_inline(input); break;
    case 3: try_replies(input); break;
    default:
#ifdef HAVE_PCRE2
        try_rules(&pcre_syntax, input);
#endif
        break;
    }
    return 0;
}
