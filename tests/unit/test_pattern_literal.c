/* SPDX-License-Identifier: ISC */
/* What pattern_literal reads off expressions, and that no engine ever matches a subject without it. */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#ifdef HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif
#include "common/table/pattern_literal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void finds_what_every_match_holds(void **state UNUSED)
{
    static const struct {
        const char *pattern;
        bool is_perl, is_multiline;
        const char *want; /* "^" in front: at the start */
    } cases[] = {
        {"^Subject: .*spam", false, false, "^subject: "},
        {"^Subject: .*spam", false, true, "subject: "},
        {"^Subject: .*spam", true, false, "^subject: "},
        {"a.*spammer$", false, false, "spammer"},
        {"foo|bar", false, false, ""},
        {"(foo|bar)baz", false, false, "baz"},
        {"@example\\.org$", false, false, "@example.org"},
        {"colou?r", false, false, "colo"},
        {"ab*cd", false, false, "cd"},
        {"ab+cd", false, false, "ab"},
        {"abc+?d", false, false, "ab"},
        {"ab{2,3}c", false, false, "a"},
        {"ab{x}|c}", true, false, ""},
        {"[a]]xy", false, false, "]xy"},
        {"[]|]xy", false, false, "xy"},
        {"[^]|]xy", true, false, "xy"},
        {"[\\]xy", false, false, "xy"},
        {"[\\]xy]z", true, false, "z"},
        {"[[:alpha:]]xy", false, false, "xy"},
        {"[[.a.]]xy", false, false, ""},
        {"(?i)foo", true, false, ""},
        {"(?:x|y)foo", true, false, "foo"},
        {"(?!x)foo", true, false, "foo"},
        {"(?=(?i)x)foo", true, false, ""},
        {"(*UTF)foo", true, false, ""},
        {"foo\\Qa|b\\E", true, false, ""},
        {"\\bfoo\\b", true, false, "foo"},
        {"\\<foo\\>", false, false, "foo"},
        {"foo\\x41", true, false, ""},
        {"(foo)\\1", false, false, ""},
        {"^*foo", false, false, "foo"},
        {"^", false, false, ""},
        {"caf\xc3\xa9s", false, false, "caf"},
        {"(foo", false, false, ""},
        {"foo)", false, false, ""},
        {"", false, false, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pattern_literal literal;
        const char *want = cases[i].want + (cases[i].want[0] == '^');
        pattern_literal_find(cases[i].pattern, (struct pattern_dialect){cases[i].is_perl, cases[i].is_multiline}, &literal);
        if (strcmp(literal.text != NULL ? literal.text : "", want) != 0 || literal.len != strlen(want) ||
            literal.at_start != (cases[i].want[0] == '^'))
            fail_msg("%s: got %s%s", cases[i].pattern, literal.at_start ? "^" : "", literal.text);
        free(literal.text);
    }
}

/* --- no engine knows better --------------------------------------------------------------------- */

static void any_text(char *text, size_t size, const char *const *parts, size_t count)
{
    text[0] = '\0';
    for (size_t n = (size_t)random() % 9; n > 0; n--) {
        const char *part = parts[(size_t)random() % count];
        size_t len = strlen(text);
        if (len + strlen(part) < size)
            memcpy(text + len, part, strlen(part) + 1);
    }
}

static void check_literal(const char *pattern, struct pattern_dialect dialect, const char *subject)
{
    struct pattern_literal literal;
    pattern_literal_find(pattern, dialect, &literal);
    if (!pattern_literal_allows(&literal, slice_of(subject)))
        fail_msg("/%s/ matches \"%s\" without \"%s\"", pattern, subject, literal.text);
    free(literal.text);
}

static void try_posix(const char *pattern, int flags, const char *subject)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB | flags) != 0)
        return;
    if (regexec(&regex, subject, 0, NULL, 0) == 0)
        check_literal(pattern, (struct pattern_dialect){false, flags != 0}, subject);
    regfree(&regex);
}

#ifdef HAVE_PCRE2
static void try_perl(const char *pattern, uint32_t flags, const char *subject)
{
    int code;
    PCRE2_SIZE offset;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_DOTALL | flags,
                                         &code, &offset, NULL);
    if (compiled == NULL)
        return;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(compiled, NULL);
    if (pcre2_match(compiled, (PCRE2_SPTR)subject, strlen(subject), 0, 0, data, NULL) > 0)
        check_literal(pattern, (struct pattern_dialect){true, flags != 0}, subject);
    pcre2_match_data_free(data);
    pcre2_code_free(compiled);
}
#endif

static void no_engine_matches_without_it(void **state UNUSED)
{
    static const char *const parts[] = {"a",  "b", "ab", "ba", "(", ")", "|", "*", "+", "?", "{2}", "{0,1}", "{", "}", "[ab]", "[^a]",
                                        "[]a]", "[", "]", ".", "^", "$", "\\", "\\.", "\\b", "\\1", "(a)", "(b|a)", "(?:", "(?!", "(?i)",
                                        "(?<=", "[[:alpha:]]", "[a\\]", "-", "\\<", "\\w", "\\Q", "\\E", "\n"};
    static const char *const letters[] = {"a", "b", "ab", "ba", "a", "b", ".", "]", "\n", "{", "}", "\\", "-"};
    char pattern[64], subject[32];
    srandom(1);
    for (unsigned round = 0; round < 40000; round++) {
        any_text(pattern, sizeof pattern, parts, COUNT(parts));
        for (unsigned i = 0; i < 2; i++) {
            any_text(subject, sizeof subject, letters, COUNT(letters));
            try_posix(pattern, round % 2 ? REG_NEWLINE : 0, subject);
#ifdef HAVE_PCRE2
            try_perl(pattern, round % 2 ? PCRE2_MULTILINE : 0, subject);
#endif
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_every_match_holds),
        cmocka_unit_test(no_engine_matches_without_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
