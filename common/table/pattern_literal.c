/* SPDX-License-Identifier: ISC */
/*
 * pattern_literal: goes through an expression from left to right and collects runs of plain characters outside of all
 * parentheses. Called by regexp.c and pcre.c when a rule is read, by regex_rules.c for each subject. What it does not
 * understand to the letter ends a run, or the whole search: a literal too few costs time, one too many would be wrong.
 */
#include "common/table/pattern_literal.h"

#include <stdlib.h>

#include "common/base/mem.h"

struct reader {
    const char *at;
    struct pattern_dialect dialect;
    struct str run, longest;
    bool run_at_start, longest_at_start;
};

/* --- runs --------------------------------------------------------------------------------- */

static void end_run(struct reader *reader)
{
    /* The beginning is found quickest, however short. */
    if (!reader->longest_at_start && (reader->run_at_start ? reader->run.len > 0 : reader->run.len > reader->longest.len)) {
        str_clear(&reader->longest);
        str_append_slice(&reader->longest, str_slice(&reader->run));
        reader->longest_at_start = reader->run_at_start;
    }
    str_clear(&reader->run);
    reader->run_at_start = false;
}

static bool is_quantifier(char c)
{
    return c == '*' || c == '?' || c == '+' || c == '{';
}

static void add_character(struct reader *reader, char c)
{
    if ((unsigned char)c >= 0x80)
        end_run(reader);
    else
        str_append_char(&reader->run, text_lower_char(c));
}

/* --- the parts of an expression. Each moves behind its part; false: no idea what this means. --------------- */

/* Behind "[". */
static bool skip_brackets(struct reader *reader)
{
    if (*reader->at == '^')
        reader->at++;
    if (*reader->at == ']')
        reader->at++;
    for (; *reader->at != ']'; reader->at++) {
        if (*reader->at == '\0')
            return false;
        if (*reader->at == '\\' && reader->dialect.is_perl && *++reader->at == '\0')
            return false;
        if (reader->at[0] == '[' && (reader->at[1] == '.' || reader->at[1] == '='))
            return false;
        if (reader->at[0] == '[' && reader->at[1] == ':') {
            const char *name = reader->at + 2;
            size_t len = strspn(name, "^abcdefghijklmnopqrstuvwxyz");
            if (strncmp(name + len, ":]", 2) != 0)
                return false;
            reader->at = name + len + 1;
        }
    }
    reader->at++;
    return true;
}

/* Behind "(": what is in there may be missing, or one of several. */
static bool skip_group(struct reader *reader)
{
    if (*reader->at == '*' || (*reader->at == '?' && (reader->at[1] == '\0' || strchr(":=!<>P", reader->at[1]) == NULL)))
        return false; /* options for what follows, comments, and stranger things */
    for (unsigned depth = 1; depth > 0;) {
        char c = *reader->at;
        if (c == '\0' || (c == '\\' && reader->at[1] == '\0') || (c == '(' && (reader->at[1] == '?' || reader->at[1] == '*') &&
                                                                  strncmp(reader->at, "(?:", 3) != 0))
            return false;
        reader->at += c == '\\' ? 2 : 1;
        if (c == '[' && !skip_brackets(reader))
            return false;
        depth += c == '(';
        depth -= c == ')';
    }
    return true;
}

/* Behind a backslash. */
static bool take_escape(struct reader *reader)
{
    char c = *reader->at;
    if (c == '\0' || (text_is_alnum(c) && strchr("wWsSbBdDnrt", c) == NULL))
        return false;
    reader->at++;
    if (text_is_alnum(c) || strchr("<>`'", c) != NULL) /* words' ends, among others */
        end_run(reader);
    else
        add_character(reader, c);
    return true;
}

/* At a quantifier: the character before may be missing, unless it is a lone "+". */
static bool take_quantifier(struct reader *reader)
{
    bool is_needed = *reader->at == '+';
    for (bool is_first = true; is_quantifier(*reader->at); is_first = false) {
        if (!is_first)
            is_needed = false;
        if (*reader->at == '{') {
            reader->at += 1 + strspn(reader->at + 1, "0123456789,");
            if (*reader->at != '}')
                return false;
        }
        reader->at++;
    }
    if (!is_needed && reader->run.len > 0)
        str_truncate(&reader->run, reader->run.len - 1);
    end_run(reader);
    return true;
}

static bool take_part(struct reader *reader)
{
    char c = *reader->at;
    if (is_quantifier(c))
        return take_quantifier(reader);
    reader->at++;
    switch (c) {
    case '\\':
        return take_escape(reader);
    case '|':
    case ')':
        return false;
    case '(':
        end_run(reader);
        return skip_group(reader);
    case '[':
        end_run(reader);
        return skip_brackets(reader);
    case '.':
    case '^':
    case '$':
        end_run(reader);
        return true;
    default:
        add_character(reader, c);
        return true;
    }
}

void pattern_literal_find(const char *pattern, struct pattern_dialect dialect, struct pattern_literal *literal)
{
    struct reader reader = {.at = pattern, .dialect = dialect, .run = STR_EMPTY, .longest = STR_EMPTY};
    bool is_clear = strstr(pattern, "\\Q") == NULL && strstr(pattern, "\\E") == NULL;
    if (*reader.at == '^') {
        reader.at++;
        reader.run_at_start = !dialect.is_multiline;
    }
    while (is_clear && *reader.at != '\0')
        is_clear = take_part(&reader);
    end_run(&reader);
    *literal = (struct pattern_literal){0};
    if (is_clear && reader.longest.len > 0)
        *literal = (struct pattern_literal){mem_strdup(str_text(&reader.longest)), reader.longest.len, reader.longest_at_start};
    str_free(&reader.run);
    str_free(&reader.longest);
}

bool pattern_literal_allows(const struct pattern_literal *literal, struct slice folded)
{
    if (literal->text == NULL)
        return true;
    if (literal->len > folded.len)
        return false;
    if (literal->at_start)
        return memcmp(folded.data, literal->text, literal->len) == 0;
    return memmem(folded.data, folded.len, literal->text, literal->len) != NULL;
}
