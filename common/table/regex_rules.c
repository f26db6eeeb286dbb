/* SPDX-License-Identifier: ISC */
/*
 * regex_rules: parses "/pattern/flags result", "!/pattern/", "if" and "endif" lines as regexp_table(5) and pcre_table(5)
 * have them, and matches. Called by regexp.c and pcre.c. Subjects come from strangers: an engine that gives up on one
 * makes the lookup fail, so that nobody can talk a rule away.
 */
#include "common/table/regex_rules.h"

#include <stdlib.h>
#include <strings.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/replacement.h"
#include "common/table/rhs_file.h"

#define FEW_GROUPS 10

struct regex_pattern {
    char *text; /* inside the line */
    unsigned options;
    bool negated;
    void *compiled; /* NULL: there is no such pattern */
    struct pattern_literal literal;
};

struct regex_matcher {
    const struct regex_engine *engine;
    struct regex_pattern first, second;
    struct replacement *replacement; /* NULL for IF */
};

struct regex_line {
    struct pattern_rules *rules;
    const struct regex_engine *engine;
    unsigned number;
    char *at;
};

/* --- parsing ------------------------------------------------------------------------------ */

static void skip_blanks(struct regex_line *line)
{
    while (text_is_space(*line->at))
        line->at++;
}

static bool take_flags(struct regex_line *line, struct regex_pattern *pattern)
{
    pattern->options = line->engine->default_options;
    for (; *line->at != '\0' && !text_is_space(*line->at); line->at++) {
        if (*line->at == '!' && line->engine->second_pattern)
            break;
        switch (line->engine->toggle(*line->at, &pattern->options)) {
        case REGEX_FLAG_TAKEN:
            break;
        case REGEX_FLAG_OBSOLETE:
            pattern_rules_warn(line->rules, line->number, "ignoring obsolete regexp option \"%c\"", *line->at);
            break;
        default:
            pattern_rules_warn(line->rules, line->number, "unknown regexp option \"%c\": skipping this rule",
                               *line->at);
            return false;
        }
    }
    return true;
}

static bool take_pattern(struct regex_line *line, struct regex_pattern *pattern)
{
    for (; *line->at == '!' || text_is_space(*line->at); line->at++)
        if (*line->at == '!')
            pattern->negated = !pattern->negated;
    if (*line->at == '\0') {
        pattern_rules_warn(line->rules, line->number, "no regexp: skipping this rule");
        return false;
    }
    char delimiter = *line->at++;
    pattern->text = line->at;
    while (*line->at != '\0' && (*line->at != delimiter || *line->at == '\\'))
        line->at += line->at[0] == '\\' && line->at[1] != '\0' ? 2 : 1;
    if (*line->at == '\0') {
        pattern_rules_warn(line->rules, line->number, "no closing regexp delimiter \"%c\": %s this rule", delimiter,
                           line->engine->unclosed);
        return false;
    }
    *line->at++ = '\0';
    return take_flags(line, pattern);
}

static void warn_of_replacement(struct regex_line *line, enum replacement_fault fault, struct slice culprit)
{
    switch (fault) {
    case REPLACEMENT_EMPTY_NAME:
        pattern_rules_warn_plain(line->rules, "empty macro name: \"%s\"", line->at);
        break;
    case REPLACEMENT_TRUNCATED:
        pattern_rules_warn_plain(line->rules, "truncated macro reference: \"%s\"", line->at);
        break;
    case REPLACEMENT_NOT_A_NUMBER:
        pattern_rules_warn(line->rules, line->number, "non-numeric replacement index \"%.*s\"", SLICE_ARGS(culprit));
        break;
    default:
        pattern_rules_warn(line->rules, line->number, "%s replacement index \"%.*s\"", line->engine->bad_index,
                           SLICE_ARGS(culprit));
    }
    pattern_rules_warn(line->rules, line->number, "bad replacement syntax: skipping this rule");
}

/* postmap -F: the result names files. */
static struct replacement *replacement_of_files(struct regex_line *line)
{
    enum replacement_fault fault;
    struct slice culprit;
    struct text_source source = {.file = pattern_rules_title(line->rules), .scratch = arena_new()};
    struct text_entry entry = {.value = slice_of(line->at), .line = line->number};
    struct replacement *replacement = NULL;
    if (rhs_file_encode(&source, &entry)) {
        char *text = mem_strndup(entry.value.data, entry.value.len);
        replacement = replacement_parse(text, &fault, &culprit); /* base64 has no "$" */
        free(text);
    }
    arena_free(source.scratch);
    return replacement;
}

static struct replacement *take_replacement(struct regex_line *line)
{
    enum replacement_fault fault;
    struct slice culprit;
    skip_blanks(line);
    if (*line->at == '\0')
        pattern_rules_warn(line->rules, line->number, "no replacement text: using empty string");
    if (pattern_rules_flags(line->rules) & TABLE_SRC_RHS_IS_FILE)
        return replacement_of_files(line);
    struct replacement *replacement = replacement_parse(line->at, &fault, &culprit);
    if (replacement == NULL)
        warn_of_replacement(line, fault, culprit);
    return replacement;
}

static bool compile(struct regex_line *line, struct regex_pattern *pattern, unsigned *groups)
{
    struct str why = STR_EMPTY;
    pattern->compiled = line->engine->compile(pattern->text, pattern->options, groups, &why);
    if (pattern->compiled != NULL)
        line->engine->find_literal(pattern->text, pattern->options, &pattern->literal);
    else
        pattern_rules_warn(line->rules, line->number, "%s", str_text(&why));
    pattern->text = NULL;
    str_free(&why);
    return pattern->compiled != NULL;
}

static bool parse_rule(struct regex_line *line, struct regex_matcher *matcher)
{
    unsigned groups = 0, groups_of_second = 0;
    if (!take_pattern(line, &matcher->first))
        return false;
    bool has_second = *line->at == '!';
    if (has_second && !take_pattern(line, &matcher->second))
        return false;
    matcher->replacement = take_replacement(line);
    if (matcher->replacement == NULL)
        return false;
    unsigned highest = replacement_highest(matcher->replacement);
    if (highest > 0 && matcher->first.negated) {
        pattern_rules_warn(line->rules, line->number,
                           "$number found in negative match replacement text: skipping this rule");
        return false;
    }
    if (!compile(line, &matcher->first, &groups))
        return false;
    if (highest > groups) {
        pattern_rules_warn(line->rules, line->number, "out of range replacement index \"%u\": skipping this rule",
                           highest);
        return false;
    }
    return !has_second || compile(line, &matcher->second, &groups_of_second);
}

static bool parse_if(struct regex_line *line, struct regex_matcher *matcher)
{
    unsigned groups;
    skip_blanks(line);
    if (!take_pattern(line, &matcher->first))
        return false;
    skip_blanks(line);
    if (*line->at != '\0') {
        pattern_rules_warn(line->rules, line->number, "ignoring extra text after IF statement: \"%s\"", line->at);
        pattern_rules_warn(line->rules, line->number,
                           "do not prepend whitespace to statements between IF and ENDIF");
    }
    return compile(line, &matcher->first, &groups);
}

static bool parse_endif(struct regex_line *line, unsigned depth)
{
    if (depth == 0) {
        pattern_rules_warn(line->rules, line->number, "ignoring ENDIF without matching IF");
        return false;
    }
    skip_blanks(line);
    if (*line->at != '\0')
        pattern_rules_warn(line->rules, line->number, "ignoring extra text after ENDIF");
    return true;
}

static bool take_word(struct regex_line *line, const char *word)
{
    size_t len = strlen(word);
    if (strncasecmp(line->at, word, len) != 0 || text_is_alnum(line->at[len]))
        return false;
    line->at += len;
    return true;
}

bool regex_rules_parse(struct pattern_rules *rules, const struct regex_engine *engine, char *text, unsigned depth,
                       struct pattern_rule *rule)
{
    struct regex_line line = {.rules = rules, .engine = engine, .number = rule->line, .at = text};
    bool is_rule = !text_is_alnum(*text);
    if (!is_rule && take_word(&line, "endif")) {
        rule->operation = PATTERN_ENDIF;
        return parse_endif(&line, depth);
    }
    if (!is_rule && !take_word(&line, "if")) {
        pattern_rules_warn(rules, rule->line, "ignoring unrecognized request");
        return false;
    }
    struct regex_matcher *matcher = mem_alloc(sizeof *matcher);
    matcher->engine = engine;
    rule->operation = is_rule ? PATTERN_RULE : PATTERN_IF;
    rule->matcher = matcher;
    if (is_rule ? parse_rule(&line, matcher) : parse_if(&line, matcher))
        return true;
    regex_rules_free_matcher(matcher);
    rule->matcher = NULL;
    return false;
}

static void free_pattern(const struct regex_engine *engine, struct regex_pattern *pattern)
{
    if (pattern->compiled != NULL)
        engine->free(pattern->compiled);
    free(pattern->literal.text);
}

void regex_rules_free_matcher(void *data)
{
    struct regex_matcher *matcher = data;
    free_pattern(matcher->engine, &matcher->first);
    free_pattern(matcher->engine, &matcher->second);
    replacement_free(matcher->replacement);
    free(matcher);
}

/* --- matching ------------------------------------------------------------------------------- */

struct matched_groups {
    struct slice subject;
    const struct regex_span *spans;
};

static struct slice group_text(const void *context, unsigned n)
{
    const struct matched_groups *groups = context;
    return slice_range(groups->subject.data + groups->spans[n].start, groups->spans[n].end - groups->spans[n].start);
}

static enum pattern_match match_pattern(const struct pattern_rules *rules, const struct pattern_rule *rule,
                                        const struct regex_pattern *pattern, const struct regex_subject *subject,
                                        struct regex_span *spans, unsigned count)
{
    const struct regex_matcher *matcher = rule->matcher;
    if (!pattern_literal_allows(&pattern->literal, subject->folded))
        return pattern->negated ? PATTERN_MATCHES : PATTERN_DIFFERS;
    struct str why = STR_EMPTY;
    enum pattern_match match = matcher->engine->match(pattern->compiled, subject->text, spans, count, &why);
    if (match == PATTERN_FAILS)
        pattern_rules_warn_match(rules, rule->line, str_text(&why));
    else if (pattern->negated)
        match = match == PATTERN_MATCHES ? PATTERN_DIFFERS : PATTERN_MATCHES;
    str_free(&why);
    return match;
}

enum pattern_match regex_rules_match(const struct pattern_rules *rules, const struct pattern_rule *rule,
                                     const void *data, struct str *value)
{
    const struct regex_subject *subject = data;
    const struct regex_matcher *matcher = rule->matcher;
    struct regex_span few[FEW_GROUPS], *spans = few;
    struct matched_groups groups = {.subject = subject->text};
    unsigned highest = matcher->replacement != NULL ? replacement_highest(matcher->replacement) : 0;
    unsigned count = highest > 0 ? highest + 1 : 0;
    if (count > FEW_GROUPS)
        spans = mem_alloc_array(count, sizeof *spans);
    groups.spans = spans;
    enum pattern_match match = match_pattern(rules, rule, &matcher->first, subject, spans, count);
    if (match == PATTERN_MATCHES && matcher->second.compiled != NULL)
        match = match_pattern(rules, rule, &matcher->second, subject, NULL, 0);
    if (match == PATTERN_MATCHES && matcher->replacement != NULL)
        replacement_expand(matcher->replacement, group_text, &groups, value);
    if (spans != few)
        free(spans);
    return match;
}

enum table_status regex_rules_find(void *rules, struct slice key, struct str *value, char **error UNUSED,
                                   int64_t deadline UNUSED)
{
    char few[1024];
    size_t size = key.len + 1;
    char *text = 2 * size <= sizeof few ? few : mem_alloc_array(2, size);
    char *folded = text + size;
    for (size_t i = 0; i < key.len; i++) {
        text[i] = key.data[i];
        folded[i] = text_lower_char(key.data[i]);
    }
    text[key.len] = folded[key.len] = '\0';
    struct regex_subject subject = {slice_range(text, key.len), slice_range(folded, key.len)};
    enum table_status status = pattern_rules_find(rules, &subject, value);
    if (text != few)
        free(text);
    return status;
}
