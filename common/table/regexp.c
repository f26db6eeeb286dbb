/* SPDX-License-Identifier: ISC */
/*
 * regexp: -- POSIX regular expressions, with the C library's <regex.h>; regexp_table(5). The library knows no limit
 * for the work that one subject makes: back-references (\1) in a pattern can be slow on long subjects.
 */
#include <regex.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/regex_rules.h"
#include "common/table/table_types.h"

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
    regex_t *regex = mem_alloc(sizeof *regex);
    int code = regcomp(regex, pattern, (int)options);
    if (code == 0) {
        *groups = (unsigned)regex->re_nsub;
        return regex;
    }
    char text[256];
    regerror(code, regex, text, sizeof text);
    str_append(why, text);
    free(regex);
    return NULL;
}

static enum pattern_match regexp_match(const void *compiled, struct slice subject, struct regex_span *spans,
                                       unsigned count, struct str *why)
{
    regmatch_t few[10], *matches = few;
    if (count > sizeof few / sizeof few[0])
        matches = mem_alloc_array(count, sizeof *matches);
    int code = regexec(compiled, subject.data, count, matches, 0);
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
    regerror(code, compiled, text, sizeof text);
    str_append(why, text);
    return PATTERN_FAILS;
}

static void regexp_free(void *compiled)
{
    regfree(compiled);
    free(compiled);
}

static const struct regex_engine engine = {
    .default_options = REG_EXTENDED | REG_ICASE, .second_pattern = true, .unclosed = "skipping",
    .bad_index = "out-of-range", .toggle = regexp_toggle, .compile = regexp_compile, .match = regexp_match,
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
