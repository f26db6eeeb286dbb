/* SPDX-License-Identifier: ISC */
/*
 * regexp: -- POSIX regular expressions, with the C library's <regex.h>; regexp_table(5). The library knows no limit for the
 * work that one subject makes, so only short subjects are left to it alone: regexp_search.c takes the others.
 */
#include <regex.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/regex_rules.h"
#include "common/table/regexp_search.h"
#include "common/table/table_types.h"

#define SHORT_SUBJECT 1024 /* an address, most headers: its square is no work */

struct regexp {
    regex_t regex;
    struct regexp_search *search;
};

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
        regexp->search = regexp_search_new(&regexp->regex, pattern, (int)options);
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

static enum regexp_search_result run(const struct regexp *regexp, struct slice subject, regmatch_t *matches, unsigned count,
                                     struct str *why)
{
    if (subject.len > SHORT_SUBJECT || regexp_search_has_back_reference(regexp->search))
        return regexp_search_run(regexp->search, subject, matches, count, why);
    int code = regexec(&regexp->regex, subject.data, count, matches, 0);
    if (code == 0)
        return REGEXP_SEARCH_FOUND;
    if (code == REG_NOMATCH)
        return REGEXP_SEARCH_NOTHING;
    str_append(why, "out of memory");
    return REGEXP_SEARCH_FAILED;
}

static enum pattern_match regexp_match(const void *compiled, struct slice subject, struct regex_span *spans,
                                       unsigned count, struct str *why)
{
    regmatch_t few[10], *matches = few;
    if (count > sizeof few / sizeof few[0])
        matches = mem_alloc_array(count, sizeof *matches);
    enum regexp_search_result result = run(compiled, subject, matches, count, why);
    for (unsigned i = 0; result == REGEXP_SEARCH_FOUND && i < count; i++) {
        bool is_set = matches[i].rm_so >= 0 && matches[i].rm_eo >= matches[i].rm_so;
        spans[i] = is_set ? (struct regex_span){(size_t)matches[i].rm_so, (size_t)matches[i].rm_eo}
                          : (struct regex_span){0, 0};
    }
    if (matches != few)
        free(matches);
    if (result == REGEXP_SEARCH_FAILED)
        return PATTERN_FAILS;
    return result == REGEXP_SEARCH_FOUND ? PATTERN_MATCHES : PATTERN_DIFFERS;
}

static void regexp_free(void *compiled)
{
    struct regexp *regexp = compiled;
    regexp_search_free(regexp->search);
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
