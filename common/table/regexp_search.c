/* SPDX-License-Identifier: ISC */
/*
 * regexp_search: glibc tries a pattern from each place of the subject in turn, so a stranger's long header costs time by the
 * square of its length, or, with back-references (\1), beyond all measure. Called by regexp.c, which does not come here
 * with short subjects. First ".*(pattern)" is tried from the beginning: one pass, and mostly the answer. Where it is not,
 * and for the groups of a match, the place where the match begins is looked for piece by piece, for a bounded time.
 */
#include "common/table/regexp_search.h"

#include <limits.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

#define LONGEST_WITH_BACK_REFERENCES 256 /* an address */
#define PIECE 16                         /* places that are tried before the clock is looked at */
#define MOST_MS 250                      /* of processor time */

struct regexp_search {
    const regex_t *regex;
    char *anywhere; /* the pattern behind .* and without back-references: matches whatever the pattern does, or more. May be NULL */
    int flags;
    bool has_back_reference;
    bool is_exact; /* no more than the pattern does: glibc takes a ^ behind .* for the beginning of any line */
    bool is_compiled; /* at the first long subject */
    regex_t compiled;
};

/* --- ".*(pattern)" ------------------------------------------------------------------------ */

/* The length of the bracket expression that the text begins with. */
static size_t brackets_length(const char *text)
{
    size_t i = 1;
    i += text[i] == '^';
    i += text[i] == ']';
    for (; text[i] != '\0' && text[i] != ']'; i++) {
        if (text[i] == '[' && text[i + 1] != '\0' && strchr(":.=", text[i + 1]) != NULL) {
            const char end[] = {text[i + 1], ']', '\0'};
            const char *found = strstr(text + i + 2, end);
            if (found == NULL)
                return i + strlen(text + i);
            i = (size_t)(found - text) + 1;
        }
    }
    return text[i] == '\0' ? i : i + 1;
}

/* +1 for "(", -1 for ")", as the flavour writes them. */
static int parenthesis(const char *text, bool is_extended)
{
    if (!is_extended && *text++ != '\\')
        return 0;
    return (*text == '(') - (*text == ')');
}

/*
 * Appends the pattern; back-references are replaced by what matches anything. False: parentheses are not in pairs (glibc takes a
 * lone ")" for itself now and then), so nothing can be put around it.
 */
static bool copy_without_back_references(const char *pattern, bool is_extended, struct str *copy, bool *has_some)
{
    const char *anything = is_extended ? "((.|\n)*)" : "\\(\\(.\\|\n\\)*\\)";
    bool in_pairs = true;
    int depth = 0;
    while (*pattern != '\0') {
        size_t len = pattern[0] == '[' ? brackets_length(pattern) : pattern[0] == '\\' && pattern[1] != '\0' ? 2 : 1;
        bool is_back_reference = pattern[0] == '\\' && pattern[1] >= '1' && pattern[1] <= '9';
        str_append_slice(copy, is_back_reference ? slice_of(anything) : slice_range(pattern, len));
        *has_some = *has_some || is_back_reference;
        depth += parenthesis(pattern, is_extended);
        in_pairs = in_pairs && depth >= 0;
        pattern += len;
    }
    return in_pairs && depth == 0;
}

struct regexp_search *regexp_search_new(const regex_t *regex, const char *pattern, int flags)
{
    struct regexp_search *search = mem_alloc(sizeof *search);
    struct str text = STR_EMPTY;
    bool is_extended = (flags & REG_EXTENDED) != 0;
    search->regex = regex;
    search->is_exact = strchr(pattern, '^') == NULL;
    search->flags = flags | REG_NOSUB;
    str_append(&text, is_extended ? "^.*(" : "^.*\\(");
    bool in_pairs = copy_without_back_references(pattern, is_extended, &text, &search->has_back_reference);
    str_append(&text, is_extended ? ")" : "\\)");
    if (in_pairs)
        search->anywhere = mem_strdup(str_text(&text));
    str_free(&text);
    return search;
}

void regexp_search_free(struct regexp_search *search)
{
    if (search->is_compiled)
        regfree(&search->compiled);
    free(search->anywhere);
    free(search);
}

bool regexp_search_has_back_reference(const struct regexp_search *search)
{
    return search->has_back_reference;
}

static enum regexp_search_result result_of(int code, const regex_t *regex, struct str *why)
{
    char text[256];
    if (code == 0)
        return REGEXP_SEARCH_FOUND;
    if (code == REG_NOMATCH)
        return REGEXP_SEARCH_NOTHING;
    regerror(code, regex, text, sizeof text);
    str_append(why, text);
    return REGEXP_SEARCH_FAILED;
}

static enum regexp_search_result try_anywhere(struct regexp_search *search, const char *subject, struct str *why)
{
    if (!search->is_compiled) {
        int code = regcomp(&search->compiled, search->anywhere, search->flags);
        if (code != 0) {
            (void)result_of(code, &search->compiled, why);
            return REGEXP_SEARCH_FAILED;
        }
        search->is_compiled = true;
    }
    return result_of(regexec(&search->compiled, subject, 0, NULL, 0), &search->compiled, why);
}

/* --- where it begins ------------------------------------------------------------------------ */

/* With registers, glibc looks for groups as well. */
static enum regexp_search_result search_in_pieces(const regex_t *compiled, const char *subject, struct re_registers *registers,
                                                  struct str *why)
{
    regex_t regex = *compiled; /* glibc notes there whose memory the registers are */
    regoff_t len = (regoff_t)strlen(subject);
    int64_t end = clock_worked_ms() + MOST_MS;
    for (regoff_t at = 0; at <= len; at += PIECE) {
        regoff_t places = len - at < PIECE ? len - at + 1 : PIECE;
        regoff_t begin = re_search(&regex, subject, len, at, places - 1, registers);
        if (begin >= 0)
            return REGEXP_SEARCH_FOUND;
        if (begin == -2 || clock_worked_ms() > end) {
            str_append(why, begin == -2 ? "out of memory" : "the search takes too long");
            return REGEXP_SEARCH_FAILED;
        }
    }
    return REGEXP_SEARCH_NOTHING;
}

static enum regexp_search_result find_groups(const regex_t *regex, const char *subject, regmatch_t *groups, size_t count,
                                             struct str *why)
{
    struct re_registers registers = {0};
    enum regexp_search_result result = search_in_pieces(regex, subject, count > 0 ? &registers : NULL, why);
    for (size_t i = 0; result == REGEXP_SEARCH_FOUND && i < count; i++) {
        bool is_there = i < (size_t)registers.num_regs;
        groups[i] = is_there ? (regmatch_t){registers.start[i], registers.end[i]} : (regmatch_t){-1, -1};
    }
    free(registers.start);
    free(registers.end);
    return result;
}

enum regexp_search_result regexp_search_run(struct regexp_search *search, struct slice subject, regmatch_t *groups, size_t count,
                                            struct str *why)
{
    if (subject.len > INT_MAX / 2) {
        str_append(why, "subject too long");
        return REGEXP_SEARCH_FAILED;
    }
    enum regexp_search_result result = search->anywhere != NULL ? try_anywhere(search, subject.data, why) : REGEXP_SEARCH_FOUND;
    if (result != REGEXP_SEARCH_FOUND)
        return result;
    if (search->has_back_reference) {
        if (subject.len <= LONGEST_WITH_BACK_REFERENCES)
            return result_of(regexec(search->regex, subject.data, count, groups, 0), search->regex, why);
        str_printf(why, "subject longer than %u bytes for a pattern with back-references", LONGEST_WITH_BACK_REFERENCES);
        return REGEXP_SEARCH_FAILED;
    }
    bool is_sure = search->anywhere != NULL && search->is_exact;
    return count == 0 && is_sure ? REGEXP_SEARCH_FOUND : find_groups(search->regex, subject.data, groups, count, why);
}
