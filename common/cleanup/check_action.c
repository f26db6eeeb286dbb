/* SPDX-License-Identifier: ISC */
/*
 * check_action: reads what a content check's table says. Called for every hit. The text after the verb may hold parts of
 * the message ($1 in a pattern's result), so nothing in it is trusted. Pure; cannot fail.
 */
#include "common/cleanup/check_action.h"

#include "common/cleanup/header_class.h"

static const struct {
    const char *word;
    enum check_verb verb;
} verbs[] = {
    {"REJECT", CHECK_REJECT}, {"WARN", CHECK_WARN}, {"INFO", CHECK_INFO}, {"FILTER", CHECK_FILTER},
    {"PASS", CHECK_PASS}, {"DISCARD", CHECK_DISCARD}, {"HOLD", CHECK_HOLD}, {"PREPEND", CHECK_PREPEND},
    {"REPLACE", CHECK_REPLACE}, {"REDIRECT", CHECK_REDIRECT}, {"BCC", CHECK_BCC}, {"STRIP", CHECK_STRIP},
    {"IGNORE", CHECK_IGNORE}, {"DUNNO", CHECK_DUNNO}, {"OK", CHECK_DUNNO},
};

static bool has_char(struct slice text, char c)
{
    return text.len > 0 && memchr(text.data, c, text.len) != NULL;
}

/* Is the text one that this verb can use? */
static bool is_usable(const struct check_action *action, const char *map, bool is_header, struct str *complaint)
{
    const char *name = action->verb == CHECK_PREPEND ? "PREPEND" : "REPLACE";
    switch (action->verb) {
    case CHECK_FILTER:
        if (action->text.len == 0)
            str_printf(complaint, "missing FILTER command argument in %s map", map);
        else if (!has_char(action->text, ':'))
            str_printf(complaint, "bad FILTER command %.*s in %s -- need transport:destination", SLICE_ARGS(action->text),
                       map);
        break;
    case CHECK_PREPEND:
    case CHECK_REPLACE:
        if (action->text.len == 0)
            str_printf(complaint, "%s action without text in %s map", name, map);
        else if (is_header && header_name_length(action->text) == 0)
            str_printf(complaint, "bad %s header text \"%.*s\" in %s map -- need \"headername: headervalue\"", name,
                       SLICE_ARGS(action->text), map);
        break;
    case CHECK_REDIRECT:
        if (!has_char(action->text, '@'))
            str_printf(complaint, "bad REDIRECT target \"%.*s\" in %s map -- need user@domain", SLICE_ARGS(action->text),
                       map);
        break;
    case CHECK_BCC:
        if (!has_char(action->text, '@'))
            str_printf(complaint, "bad BCC address \"%.*s\" in %s map -- need user@domain", SLICE_ARGS(action->text), map);
        break;
    default:
        break;
    }
    return complaint->len == 0;
}

void check_action_parse(const char *value, const char *map, bool is_header, struct check_action *action,
                        struct str *complaint)
{
    size_t len = strcspn(value, " \t");
    struct slice verb = slice_range(value, len), text = slice_of(value + len);
    while (text.len > 0 && text_is_space(text.data[0]))
        text = slice_skip(text, 1);
    *action = (struct check_action){.verb = CHECK_BROKEN, .text = text};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && action->verb == CHECK_BROKEN; i++)
        if (slice_equal_nocase(verb, slice_of(verbs[i].word)))
            action->verb = verbs[i].verb;
    if (action->verb == CHECK_BROKEN)
        str_printf(complaint, "unknown command in %s map: %s", map, value);
    else if (!is_usable(action, map, is_header, complaint))
        action->verb = CHECK_BROKEN;
}

/* "5.7.1", at most three digits in each part but the first; its length or 0. */
static size_t status_length(struct slice text)
{
    size_t at = 1, parts = 0;
    if (text.len < 5 || (text.data[0] != '2' && text.data[0] != '4' && text.data[0] != '5'))
        return 0;
    for (; parts < 2; parts++) {
        size_t digits = 0;
        if (at >= text.len || text.data[at++] != '.')
            return 0;
        while (at < text.len && text_is_digit(text.data[at]) && digits < 4) {
            at++;
            digits++;
        }
        if (digits == 0 || digits > 3)
            return 0;
    }
    return at == text.len || text_is_space(text.data[at]) ? at : 0;
}

void check_reject_reason(struct slice text, struct str *reason, bool *is_deferral, struct str *complaint)
{
    size_t status = status_length(text);
    struct slice words = slice_skip(text, status);
    while (words.len > 0 && text_is_space(words.data[0]))
        words = slice_skip(words, 1);
    if (text.len == 0)
        str_append(reason, "5.7.1 message content rejected");
    else if (status == 0)
        str_printf(reason, "5.7.1 %.*s", SLICE_ARGS(text));
    else
        str_printf(reason, "%.*s %.*s", (int)status, text.data, SLICE_ARGS(words));
    if (reason->data[0] != '4' && reason->data[0] != '5') {
        str_printf(complaint, "bad DSN action in %.*s -- need 4.x.x or 5.x.x", SLICE_ARGS(text));
        reason->data[0] = '4';
    }
    *is_deferral = reason->data[0] == '4';
}
