/* SPDX-License-Identifier: ISC */
/* postscreen_tests: time stamps and lists of postscreen. Called by postscreen.c for each client. Pure. */
#include "common/service/postscreen_tests.h"

#include "common/access/dnsxl.h"
#include "common/mail/hostname.h"

void postscreen_stamps_parse(struct slice record, struct postscreen_stamps *stamps)
{
    for (unsigned i = 0; i < TEST_COUNT; i++) {
        const char *end = record.len > 0 ? memchr(record.data, ';', record.len) : NULL;
        size_t len = end != NULL ? (size_t)(end - record.data) : record.len;
        uint64_t number;
        bool good = slice_to_u64(slice_range(record.data, len), &number) && number < INT64_MAX / 2;
        stamps->expires_s[i] = good ? (int64_t)number : STAMP_DISABLED;
        record = slice_skip(record, end != NULL ? len + 1 : len);
    }
}

void postscreen_stamps_print(const struct postscreen_stamps *stamps, unsigned enabled, struct str *record)
{
    for (unsigned i = 0; i < TEST_COUNT; i++) {
        int64_t stamp = stamps->expires_s[i];
        if (stamp == STAMP_NEW && (enabled & TEST_BIT(i)) == 0)
            stamp = STAMP_DISABLED;
        str_printf(record, "%s%lld", i > 0 ? ";" : "", (long long)stamp);
    }
}

unsigned postscreen_stamps_todo(const struct postscreen_stamps *stamps, unsigned enabled, int64_t now_s)
{
    unsigned todo = 0;
    for (unsigned i = 0; i < TEST_COUNT; i++)
        if ((enabled & TEST_BIT(i)) != 0 && now_s > stamps->expires_s[i])
            todo |= TEST_BIT(i);
    return todo;
}

bool postscreen_stamps_are_new(const struct postscreen_stamps *stamps)
{
    for (unsigned i = 0; i < TEST_COUNT; i++)
        if (stamps->expires_s[i] == STAMP_NEW)
            return true;
    return false;
}

int64_t postscreen_stamps_last(const struct postscreen_stamps *stamps)
{
    int64_t last = 0;
    for (unsigned i = 0; i < TEST_COUNT; i++)
        if (stamps->expires_s[i] > last)
            last = stamps->expires_s[i];
    return last;
}

/* --- lists ------------------------------------------------------------------------------------ */

static bool parse_weight(const char *text, int *weight)
{
    uint64_t number;
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (!slice_to_u64(slice_of(text), &number) || number > 1000000)
        return false;
    *weight = negative ? -(int)number : (int)number;
    return true;
}

bool postscreen_site_parse(const char *text, struct postscreen_site *site)
{
    const char *star = strchr(text, '*'), *equals = strchr(text, '=');
    size_t len = star != NULL ? (size_t)(star - text) : strlen(text);
    *site = (struct postscreen_site){.domain = slice_range(text, len), .weight = 1};
    if (star != NULL && !parse_weight(star + 1, &site->weight))
        return false;
    if (equals != NULL && equals < text + len) {
        site->domain.len = (size_t)(equals - text);
        site->filter = slice_range(equals + 1, len - site->domain.len - 1);
        if (!dnsxl_filter_is_valid(site->filter))
            return false;
    }
    return hostname_is_valid(site->domain);
}
