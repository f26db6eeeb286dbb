/* SPDX-License-Identifier: ISC */
/* smtp capabilities: reads EHLO and LHLO replies. Pure; what it does not know it ignores. */
#include "common/smtp/client/capabilities.h"

static const struct {
    struct slice keyword;
    unsigned flag;
} known[] = {
    {{"PIPELINING", 10}, SMTP_CAN_PIPELINE},
    {{"8BITMIME", 8}, SMTP_CAN_8BITMIME},
    {{"SIZE", 4}, SMTP_CAN_SIZE},
    {{"DSN", 3}, SMTP_CAN_DSN},
    {{"SMTPUTF8", 8}, SMTP_CAN_SMTPUTF8},
    {{"ENHANCEDSTATUSCODES", 19}, SMTP_CAN_STATUSCODES},
    {{"STARTTLS", 8}, SMTP_CAN_STARTTLS},
    {{"CHUNKING", 8}, SMTP_CAN_CHUNKING},
    {{"XFORWARD", 8}, SMTP_CAN_XFORWARD},
    {{"AUTH", 4}, SMTP_CAN_AUTH},
};

static unsigned capability_flag(struct slice keyword)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_equal_nocase(known[i].keyword, keyword))
            return known[i].flag;
    }
    return 0;
}

void smtp_capabilities_parse(struct slice text, unsigned ignore, struct smtp_capabilities *capabilities)
{
    struct slice line, keyword, value;
    bool first = true;
    *capabilities = (struct smtp_capabilities){0};
    while (slice_next_token(&text, "\n", &line)) {
        if (first || line.len < 5) { /* the greeting, or nothing after "250-" */
            first = false;
            continue;
        }
        line = slice_skip(line, 4);
        if (!slice_next_token(&line, " \t=", &keyword))
            continue;
        unsigned flag = capability_flag(keyword) & ~ignore;
        capabilities->flags |= flag;
        if (flag == SMTP_CAN_SIZE && slice_next_token(&line, " \t=", &value) &&
            !slice_to_u64(value, &capabilities->size_limit))
            capabilities->size_limit = 0;
    }
    /* RFC 6531 section 3.1 demands 8BITMIME of whoever offers SMTPUTF8. */
    if ((capabilities->flags & SMTP_CAN_SMTPUTF8) != 0)
        capabilities->flags |= SMTP_CAN_8BITMIME & ~ignore;
}

unsigned smtp_capabilities_from_words(const char *words, bool *silent, struct slice *unknown)
{
    struct slice rest = slice_of(words), word;
    unsigned flags = 0;
    *silent = false;
    *unknown = slice_range(NULL, 0);
    while (slice_next_token(&rest, ", \t\r\n", &word)) {
        unsigned flag = capability_flag(word);
        flags |= flag;
        if (slice_equal_nocase(word, SLICE("silent-discard")))
            *silent = true;
        else if (flag == 0)
            *unknown = word;
    }
    return flags;
}
