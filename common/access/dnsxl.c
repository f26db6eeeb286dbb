/* SPDX-License-Identifier: ISC */
/*
 * dnsxl: which answers of a DNS list count: four numbers, or in their place "[1;3..5]". Called by restrict_rbl.
 * Pure; what is malformed is an error of the configuration.
 */
#include "common/access/dnsxl.h"

/* A number up to 255 at the start of the text. */
static bool take_number(struct slice *text, unsigned *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < text->len && digits < 4 && text_is_digit(text->data[digits]))
        *number = *number * 10 + (unsigned)(text->data[digits++] - '0');
    *text = slice_skip(*text, digits);
    return digits > 0 && *number <= 255;
}

static bool take_char(struct slice *text, char c)
{
    if (text->len == 0 || text->data[0] != c)
        return false;
    *text = slice_skip(*text, 1);
    return true;
}

/* "5" or "3..7"; *matches becomes true when the byte is in it. */
static bool take_range(struct slice *text, unsigned byte, bool *matches)
{
    unsigned low, high;
    if (!take_number(text, &low))
        return false;
    high = low;
    if (text->len > 1 && text->data[0] == '.' && text->data[1] == '.') {
        *text = slice_skip(*text, 2);
        if (!take_number(text, &high) || high < low)
            return false;
    }
    *matches = *matches || (byte >= low && byte <= high);
    return true;
}

/* One of the four places. */
static bool take_byte(struct slice *text, unsigned byte, bool *matches)
{
    unsigned number;
    *matches = false;
    if (!take_char(text, '[')) {
        if (!take_number(text, &number))
            return false;
        *matches = number == byte;
        return true;
    }
    do
        if (!take_range(text, byte, matches))
            return false;
    while (take_char(text, ';'));
    return take_char(text, ']');
}

static bool run_filter(struct slice filter, const unsigned bytes[4], bool *matches)
{
    *matches = true;
    for (unsigned i = 0; i < 4; i++) {
        bool fits;
        if ((i > 0 && !take_char(&filter, '.')) || !take_byte(&filter, bytes[i], &fits))
            return false;
        *matches = *matches && fits;
    }
    return filter.len == 0;
}

bool dnsxl_filter_is_valid(struct slice filter)
{
    static const unsigned any[4] = {0};
    bool ignored;
    return run_filter(filter, any, &ignored);
}

bool dnsxl_parse(const char *text, struct dnsxl_list *list)
{
    const char *equals = strchr(text, '=');
    list->domain = equals != NULL ? slice_range(text, (size_t)(equals - text)) : slice_of(text);
    list->filter = equals != NULL ? slice_of(equals + 1) : slice_range(NULL, 0);
    return list->domain.len > 0 && (equals == NULL || dnsxl_filter_is_valid(list->filter));
}

bool dnsxl_filter_matches(struct slice filter, const char *address)
{
    struct slice text = slice_of(address);
    unsigned bytes[4];
    bool matches;
    for (unsigned i = 0; i < 4; i++)
        if ((i > 0 && !take_char(&text, '.')) || !take_number(&text, &bytes[i]))
            return false;
    return text.len == 0 && (filter.data == NULL || (run_filter(filter, bytes, &matches) && matches));
}
