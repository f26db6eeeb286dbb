/* SPDX-License-Identifier: ISC */
/* Rules of the form /pattern/flags result: what regexp: and pcre: share. An engine compiles and matches. */
#ifndef POSTHORN_TABLE_REGEX_RULES_H
#define POSTHORN_TABLE_REGEX_RULES_H

#include "common/table/pattern_literal.h"
#include "common/table/pattern_rules.h"

/* What a pair of parentheses matched; start == end when nothing. Group 0 is the whole. */
struct regex_span {
    size_t start, end;
};

enum regex_flag { REGEX_FLAG_TAKEN, REGEX_FLAG_UNKNOWN, REGEX_FLAG_OBSOLETE };

struct regex_engine {
    unsigned default_options;
    bool second_pattern;  /* /a/!/b/ is understood */
    const char *unclosed; /* Postfix words the two types' warnings differently */
    const char *bad_index;
    enum regex_flag (*toggle)(char letter, unsigned *options);
    /* NULL with what is wrong in *why; *groups: pairs of parentheses. */
    void *(*compile)(const char *pattern, unsigned options, unsigned *groups, struct str *why);
    /* What every match holds, of a pattern that can be compiled. */
    void (*find_literal)(const char *pattern, unsigned options, struct pattern_literal *literal);
    /* Fills spans[0 .. count - 1]. PATTERN_FAILS with the reason in *why. subject.data ends in a NUL. */
    enum pattern_match (*match)(const void *compiled, struct slice subject, struct regex_span *spans, unsigned count,
                                struct str *why);
    void (*free)(void *compiled);
};

/* What match() gets. */
struct regex_subject {
    struct slice text;   /* ends in a NUL */
    struct slice folded; /* in lower case */
};

/* The bodies of struct pattern_syntax; their subject is a struct regex_subject. */
bool regex_rules_parse(struct pattern_rules *rules, const struct regex_engine *engine, char *line, unsigned depth,
                       struct pattern_rule *rule);
enum pattern_match regex_rules_match(const struct pattern_rules *rules, const struct pattern_rule *rule,
                                     const void *subject, struct str *value);
void regex_rules_free_matcher(void *matcher);

/* The body of a table type's find(). */
enum table_status regex_rules_find(void *rules, struct slice key, struct str *value, char **error, int64_t deadline);

extern const struct pattern_syntax regexp_syntax;
extern const struct pattern_syntax pcre_syntax; /* with HAVE_PCRE2 */

#endif
