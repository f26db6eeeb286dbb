/* SPDX-License-Identifier: ISC */
/*
 * regexp: -- POSIX regular expressions, with the C library's <regex.h>; regexp_table(5). The library knows no limit for the
 * work that one subject makes: it grows with the length when the pattern begins with ^, with its square when it does
 * not, and beyond all measure with back-references (\1). So the length of subjects is bounded for each kind. A longer
 * one makes the lookup fail, where Postfix would go on working.
 */
#include <regex.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/regex_rules.h"
#include "common/table/table_types.h"

#define LONGEST_OF_ANCHORED 131072 /* more than a header line may have (header_size_limit) */
#define LONGEST_OF_UNANCHORED 16384
#define LONGEST_OF_BACK_REFERENCES 256 /* an address */

struct regexp {
    regex_t regex;
    size_t longest_subject;
};

/* A backslash and a digit, unless the backslash is itself escaped. In brackets it would mean something else: no harm. */
static bool has_back_reference(const char *pattern)
{
    for (const char *c = pattern; *c != '\0'; c++)
        if (*c == '\\' && *++c >= '1' && *c <= '9')
            return true;
        else if (*c == '\0')
            return false;
    return false;
}

static size_t longest_subject_of(const char *pattern, unsigned options)
{
    if (has_back_reference(pattern))
        return LONGEST_OF_BACK_REFERENCES;
    /* With REG_NEWLINE every line is a beginning; "^a|b" is anchored in part only. */
    bool anchored = pattern[0] == '^' && (options & REG_NEWLINE) == 0 && strchr(pattern, '|') == NULL;
    return anchored ? LONGEST_OF_ANCHORED : LONGEST_OF_UNANCHORED;
}

static enum regex_flag regexp_toggle(char letter, unsigned *options)
{
    switch (letter) {
    case 'i': *options ^= REG_ICASE; break;
    case 'm': *options ^= REG_NEWLINE; break;
    case 'x': *options ^= REG_EXTENDED; break;
    default: return REGEX_FLAG_UNKNOWN;
    }
    return REGEX_FLAG_TAKEN;
}

static void *regexp_compile(const char *pattern, unsigned options, unsigned *groups, struct str *why)
{
    struct regexp *regexp = mem_alloc(sizeof *regexp);
    int code = regcomp(&regexp->regex, pattern, (int)options);
    if (code == 0) {
        *groups = (unsigned)regexp->regex.re_nsub;
        regexp->longest_subject = longest_subject_of(pattern, options);
        return regexp;
    }
    char text[256];
    regerror(code, &regexp->regex, text, sizeof text);
    str_append(why, text);
    free(regexp);
    return NULL;
}

static void find_literal(const char *pattern, unsigned options, struct pattern_literal *literal)
{
    if ((options & REG_EXTENDED) != 0)
        pattern_literal_find(pattern, (struct pattern_dialect){false, (options & REG_NEWLINE) != 0}, literal);
}

static enum pattern_match regexp_match(const void *compiled, struct slice subject, struct regex_span *spans,
                                       unsigned count, struct str *why)
{
    const struct regexp *regexp = compiled;
    regmatch_t few[10], *matches = few;
    if (subject.len > regexp->longest_subject) {
        str_printf(why, "subject longer than %zu bytes", regexp->longest_subject);
        return PATTERN_FAILS;
    }
    if (count > sizeof few / sizeof few[0])
        matches = mem_alloc_array(count, sizeof *matches);
    int code = regexec(&regexp->regex, subject.data, count, matches, 0);
    for (unsigned i = 0; code == 0 && i < count; i++) {
        bool is_set = matches[i].rm_so >= 0 && matches[i].rm_eo >= matches[i].rm_so;
        spans[i] = is_set ? (struct regex_span){(size_t)matches[i].rm_so, (size_t)matches[i].rm_eo}
                          : (struct regex_span){0, 0};
    }
    if (matches != few)
        free(matches);
    if (code == 0)
        return PATTERN_MATCHES;
    if (code == REG_NOMATCH)
        return PATTERN_DIFFERS;
    char text[256];
    regerror(code, &regexp->regex, text, sizeof text);
    str_append(why, text);
    return PATTERN_FAILS;
}

static void regexp_free(void *compiled)
{
    struct regexp *regexp = compiled;
    regfree(&regexp->regex);
    free(regexp);
}

static const struct regex_engine engine = {
    .default_options = REG_EXTENDED | REG_ICASE, .second_pattern = true, .unclosed = "skipping",
    .bad_index = "out-of-range", .toggle = regexp_toggle, .compile = regexp_compile, .find_literal = find_literal, .match = regexp_match,
    .free = regexp_free,
};

static bool regexp_parse(struct pattern_rules *rules, char *line, unsigned depth, struct pattern_rule *rule)
{
    return regex_rules_parse(rules, &engine, line, depth, rule);
}

const struct pattern_syntax regexp_syntax = {
    .type = "regexp", .parse = regexp_parse, .match = regex_rules_match, .free_matcher = regex_rules_free_matcher,
};

static void *regexp_open(const char *name, const struct config *config UNUSED, unsigned flags, char **error)
{
    return pattern_rules_open(&regexp_syntax, name, flags, error);
}

const struct table_type table_regexp = {
    .name = "regexp", .pattern = true, .open = regexp_open, .close = pattern_rules_free, .find = regex_rules_find,
    .is_stale = pattern_rules_is_stale,
};
