/* SPDX-License-Identifier: ISC */
/*
 * auth_results: reads no more of an Authentication-Results header than whose it is. A forger writes it as no
 * honest server would and hopes for a lenient reader behind us: comments, folding and quotes are all seen through.
 */
#include "common/mail/auth_results.h"

/* Blanks, line breaks and nested comments. */
static struct slice skip_cfws(struct slice text)
{
    unsigned depth = 0;
    size_t at = 0;
    for (; at < text.len; at++) {
        char c = text.data[at];
        if (c == '\\' && depth > 0)
            at++;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (depth == 0 && !text_is_space(c))
            break;
    }
    return slice_skip(text, at < text.len ? at : text.len);
}

/* Compares a quoted-string, without its first quote, with the id. */
static bool quoted_equals(struct slice text, struct slice id)
{
    size_t seen = 0, at = 0;
    for (; at < text.len && text.data[at] != '"'; at++) {
        if (text.data[at] == '\n')
            continue;
        if (text.data[at] == '\\' && at + 1 < text.len)
            at++;
        if (seen == id.len || text_lower_char(text.data[at]) != text_lower_char(id.data[seen]))
            return false;
        seen++;
    }
    return seen == id.len;
}

bool auth_results_claims(struct slice value, struct slice authserv_id)
{
    struct slice text = skip_cfws(value);
    if (text.len > 0 && text.data[0] == '"')
        return quoted_equals(slice_skip(text, 1), authserv_id);
    size_t len = 0;
    while (len < text.len && !text_is_space(text.data[len]) && text.data[len] != ';' && text.data[len] != '(')
        len++;
    return slice_equal_nocase(slice_range(text.data, len), authserv_id);
}
