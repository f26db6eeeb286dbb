/* SPDX-License-Identifier: ISC */
/*
 * pattern_rules: reads the lines of regexp:, pcre: and cidr: tables and walks through their rules. Called by
 * the files of those types. A line that is no rule is a warning with file and line, and is left out, as in Postfix;
 * a text that cannot be read makes the table fail.
 */
#include "common/table/pattern_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/logical_line.h"
#include "common/table/table_build.h"

struct pattern_rules {
    const struct pattern_syntax *syntax;
    char *title;
    bool is_inline;
    unsigned flags;
    struct file_stamp stamp;
    struct pattern_rule *list;
    size_t count, capacity;
    void *index; /* of types that have one */
    pattern_warn *warn;
    void *context;
};

/* --- warnings -------------------------------------------------------------------------- */

static void give_warning(const struct pattern_rules *rules, const struct str *text)
{
    if (rules->warn != NULL)
        rules->warn(rules->context, str_text(text));
    else
        log_warning("%s", str_text(text));
}

void pattern_rules_warn(struct pattern_rules *rules, unsigned line, const char *fmt, ...)
{
    struct str text = STR_EMPTY;
    va_list args;
    str_printf(&text, "%s map %s, line %u: ", rules->syntax->type, rules->title, line);
    va_start(args, fmt);
    str_vprintf(&text, fmt, args);
    va_end(args);
    give_warning(rules, &text);
    str_free(&text);
}

void pattern_rules_warn_match(const struct pattern_rules *rules, unsigned line, const char *why)
{
    struct str text = STR_EMPTY;
    str_printf(&text, "%s map %s, line %u: %s", rules->syntax->type, rules->title, line, why);
    give_warning(rules, &text);
    str_free(&text);
}

void pattern_rules_warn_plain(struct pattern_rules *rules, const char *fmt, ...)
{
    struct str text = STR_EMPTY;
    va_list args;
    va_start(args, fmt);
    str_vprintf(&text, fmt, args);
    va_end(args);
    give_warning(rules, &text);
    str_free(&text);
}

/* --- the text --------------------------------------------------------------------------- */

bool pattern_text_is_inline(const char *name)
{
    return name[0] == '{';
}

/* The length of the braces that the text begins with, or 0 when they do not end. */
static size_t braces_length(struct slice text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '{')
            depth++;
        else if (text.data[i] == '}' && --depth == 0)
            return i + 1;
    }
    return 0;
}

/* What is inside of the braces that *text begins with; *text moves behind them. */
static bool take_braces(const char *type, struct slice *text, struct slice *inside, char **error)
{
    if (text->len == 0 || text->data[0] != '{') {
        *error = mem_printf("%s map: no '{' at start of text in \"%.*s\"", type, SLICE_ARGS(*text));
        return false;
    }
    size_t len = braces_length(*text);
    if (len == 0) {
        *error = mem_printf("%s map: missing '}' in \"%.*s\"", type, SLICE_ARGS(*text));
        return false;
    }
    *inside = slice_trim(slice_range(text->data + 1, len - 2));
    *text = slice_skip(*text, len);
    return true;
}

/* The next list element: up to a blank or comma that is outside of braces. */
static bool next_element(struct slice *rest, struct slice *element)
{
    size_t depth = 0, len = 0;
    while (rest->len > 0 && (text_is_space(rest->data[0]) || rest->data[0] == ','))
        *rest = slice_skip(*rest, 1);
    for (; len < rest->len; len++) {
        char c = rest->data[len];
        if (depth == 0 && (text_is_space(c) || c == ','))
            break;
        if (c == '{')
            depth++;
        else if (c == '}' && depth > 0)
            depth--;
    }
    *element = slice_range(rest->data, len);
    *rest = slice_skip(*rest, len);
    return len > 0;
}

bool pattern_text_from_inline(const char *type, const char *name, struct str *text, char **error)
{
    struct slice rest = slice_of(name), body, element, line;
    if (!take_braces(type, &rest, &body, error))
        return false;
    if (slice_trim(rest).len > 0) {
        *error = mem_printf("%s map: syntax error after '}' in \"%s\"", type, name);
        return false;
    }
    while (next_element(&body, &element)) {
        struct slice whole = element;
        if (!take_braces(type, &element, &line, error))
            return false;
        if (element.len > 0) {
            *error = mem_printf("%s map: syntax error after '}' in \"%.*s\"", type, SLICE_ARGS(whole));
            return false;
        }
        str_append_slice(text, line);
        str_append_char(text, '\n');
    }
    return true;
}

/* --- reading ---------------------------------------------------------------------------- */

static struct pattern_rule *add_rule(struct pattern_rules *rules, struct pattern_rule rule)
{
    if (rules->count == rules->capacity) {
        rules->capacity = rules->capacity == 0 ? 16 : rules->capacity * 2;
        rules->list = mem_realloc_array(rules->list, rules->capacity, sizeof *rules->list);
    }
    rules->list[rules->count] = rule;
    return &rules->list[rules->count++];
}

/* The IFs that no ENDIF has closed yet, the innermost last. */
struct open_ifs {
    size_t *list;
    unsigned count, capacity;
};

static void open_ifs_push(struct open_ifs *open, size_t index)
{
    if (open->count == open->capacity) {
        open->capacity = open->capacity == 0 ? 8 : open->capacity * 2;
        open->list = mem_realloc_array(open->list, open->capacity, sizeof *open->list);
    }
    open->list[open->count++] = index;
}

static void read_line(struct pattern_rules *rules, struct open_ifs *open, struct logical_line *line)
{
    if (line->starts_with_space) {
        struct slice text = str_slice(&line->text);
        pattern_rules_warn_plain(rules, "%s: logical line must not start with whitespace: \"%.*s\"", rules->title,
                                 SLICE_ARGS(text));
        return;
    }
    char *text = mem_strdup(str_text(&line->text));
    size_t len = strlen(text);
    while (len > 0 && text_is_space(text[len - 1]))
        text[--len] = '\0';
    struct pattern_rule rule = {.line = line->first_line, .end = PATTERN_NO_END};
    if (len > 0 && rules->syntax->parse(rules, text, open->count, &rule)) {
        if (rule.operation == PATTERN_IF)
            open_ifs_push(open, rules->count);
        else if (rule.operation == PATTERN_ENDIF && open->count > 0)
            rules->list[open->list[--open->count]].end = rules->count;
        add_rule(rules, rule);
    }
    free(text);
}

static void read_text(struct pattern_rules *rules, struct slice text)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    struct open_ifs open = {0};
    while (logical_line_next(&reader, &line))
        read_line(rules, &open, &line);
    while (open.count > 0)
        pattern_rules_warn(rules, rules->list[open.list[--open.count]].line, "IF has no matching ENDIF");
    free(open.list);
    str_free(&line.text);
}

struct pattern_rules *pattern_rules_parse(const struct pattern_syntax *syntax, const char *title, struct slice text,
                                          unsigned flags, pattern_warn *warn, void *context)
{
    struct pattern_rules *rules = mem_alloc(sizeof *rules);
    rules->syntax = syntax;
    rules->title = mem_strdup(title);
    rules->flags = flags;
    rules->warn = warn;
    rules->context = context;
    read_text(rules, text);
    if (syntax->index != NULL)
        rules->index = syntax->index(rules->list, rules->count);
    return rules;
}

struct pattern_rules *pattern_rules_open(const struct pattern_syntax *syntax, const char *name, unsigned flags,
                                         char **error)
{
    struct str text = STR_EMPTY;
    struct stat st;
    struct pattern_rules *rules = NULL;
    bool is_inline = pattern_text_is_inline(name);
    bool ok = is_inline ? pattern_text_from_inline(syntax->type, name, &text, error)
                        : table_text_read(name, &text, &st, error);
    if (ok) {
        rules = pattern_rules_parse(syntax, name, str_slice(&text), flags, NULL, NULL);
        rules->is_inline = is_inline;
        if (!is_inline)
            rules->stamp = file_stamp_of(&st);
    }
    str_free(&text);
    return rules;
}

void pattern_rules_free(void *data)
{
    struct pattern_rules *rules = data;
    if (rules->index != NULL)
        rules->syntax->free_index(rules->index);
    for (size_t i = 0; i < rules->count; i++)
        if (rules->list[i].matcher != NULL)
            rules->syntax->free_matcher(rules->list[i].matcher);
    free(rules->list);
    free(rules->title);
    free(rules);
}

bool pattern_rules_is_stale(void *data)
{
    struct pattern_rules *rules = data;
    if (rules->is_inline)
        return false;
    struct file_stamp now = file_stamp_get(rules->title);
    return now.exists && !file_stamp_equal(now, rules->stamp) && file_stamp_is_settled(now);
}

unsigned pattern_rules_flags(const struct pattern_rules *rules)
{
    return rules->flags;
}

const char *pattern_rules_title(const struct pattern_rules *rules)
{
    return rules->title;
}

/* --- looking up --------------------------------------------------------------------------- */

enum table_status pattern_rules_find(const struct pattern_rules *rules, const void *subject, struct str *value)
{
    if (rules->index != NULL)
        return rules->syntax->find_indexed(rules->index, subject, value);
    for (size_t i = 0; i < rules->count; i++) {
        const struct pattern_rule *rule = &rules->list[i];
        if (rule->operation == PATTERN_ENDIF)
            continue;
        enum pattern_match match = rules->syntax->match(rules, rule, subject, value);
        if (match == PATTERN_FAILS)
            return TABLE_ERROR;
        if (rule->operation == PATTERN_RULE && match == PATTERN_MATCHES)
            return TABLE_FOUND;
        if (rule->operation == PATTERN_IF && match == PATTERN_DIFFERS) {
            if (rule->end == PATTERN_NO_END)
                return TABLE_NOT_FOUND; /* it reaches to the end of the text */
            i = rule->end;
        }
    }
    return TABLE_NOT_FOUND;
}
