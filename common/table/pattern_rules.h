/* SPDX-License-Identifier: ISC */
/*
 * What regexp:, pcre: and cidr: tables share: a text (a file, or {{rule}, {rule}} in main.cf itself) of rules that are
 * tried in turn, with if/endif around some of them. The types bring the parser of a line and the matching.
 */
#ifndef POSTHORN_TABLE_PATTERN_RULES_H
#define POSTHORN_TABLE_PATTERN_RULES_H

#include "common/table/file_stamp.h"
#include "common/table/table.h"

#define PATTERN_NO_END ((size_t)-1)

enum pattern_operation { PATTERN_RULE, PATTERN_IF, PATTERN_ENDIF };

struct pattern_rule {
    enum pattern_operation operation;
    unsigned line;
    size_t end;    /* of an IF: the index of its ENDIF, or PATTERN_NO_END */
    void *matcher; /* the type's; NULL for ENDIF */
};

/* Whether a rule matches, in the type's view. On a match of a PATTERN_RULE the answer has been appended. */
enum pattern_match { PATTERN_MATCHES, PATTERN_DIFFERS, PATTERN_FAILS };

struct pattern_rules;

struct pattern_syntax {
    const char *type; /* for warnings: "regexp" */
    /*
     * One logical line without trailing blanks; it may be changed. True when it is a rule: operation and matcher are
     * set. False: a warning says why not (pattern_rules_warn), and the line is left out. depth: open IFs.
     */
    bool (*parse)(struct pattern_rules *rules, char *line, unsigned depth, struct pattern_rule *rule);
    enum pattern_match (*match)(const struct pattern_rules *rules, const struct pattern_rule *rule,
                                const void *subject, struct str *value);
    void (*free_matcher)(void *matcher);
    /*
     * A type that need not try the rules in turn has no match(), but these: what makes lookups quick, made when the text
     * has been read, and the lookup. The matchers live as long as it.
     */
    void *(*index)(const struct pattern_rule *list, size_t count);
    enum table_status (*find_indexed)(const void *index, const void *subject, struct str *value);
    void (*free_index)(void *index);
};

/* NULL with *error when the text cannot be had. */
struct pattern_rules *pattern_rules_open(const struct pattern_syntax *syntax, const char *name, unsigned flags,
                                         char **error);
/* The same from a text in memory; warn may be NULL: log_warning. For tests and fuzzers. */
typedef void pattern_warn(void *context, const char *text);
struct pattern_rules *pattern_rules_parse(const struct pattern_syntax *syntax, const char *title, struct slice text,
                                          unsigned flags, pattern_warn *warn, void *context);
void pattern_rules_free(void *rules);
bool pattern_rules_is_stale(void *rules);
unsigned pattern_rules_flags(const struct pattern_rules *rules);
const char *pattern_rules_title(const struct pattern_rules *rules);

/* The first rule that matches. subject is handed to the type's match() or find_indexed(). */
enum table_status pattern_rules_find(const struct pattern_rules *rules, const void *subject, struct str *value);

/* A warning about the rule being parsed: "regexp map FILE, line N: TEXT". */
void pattern_rules_warn(struct pattern_rules *rules, unsigned line, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same while matching. */
void pattern_rules_warn_match(const struct pattern_rules *rules, unsigned line, const char *why);
/* A warning without that in front. */
void pattern_rules_warn_plain(struct pattern_rules *rules, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* True for a name that holds the text itself: "{ {line}, {line} }". */
bool pattern_text_is_inline(const char *name);
/* The lines of such a name. False with *error in Postfix's words. Pure. */
bool pattern_text_from_inline(const char *type, const char *name, struct str *text, char **error) MUST_CHECK;

#endif
