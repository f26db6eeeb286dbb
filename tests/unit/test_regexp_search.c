/* SPDX-License-Identifier: ISC */
/* Long subjects of regexp: tables: the same answers as glibc's own, and in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include "common/base/mem.h"
#include "common/table/regexp_search.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LONG_HEADER 102400 /* header_size_limit */

static void long_subjects_are_answered(void **state UNUSED)
{
    static const struct {
        const char *pattern;
        int flags;
        const char *filler, *end; /* the subject: filler again and again, then the end */
        size_t groups;
        enum regexp_search_result want;
        const char *last_group;
    } cases[] = {
        {"foo.*bar", REG_EXTENDED, "foo", "", 0, REGEXP_SEARCH_NOTHING, NULL},
        {"foo.*bar", REG_EXTENDED, "foo", "bar", 0, REGEXP_SEARCH_FOUND, NULL},
        {"(a|b)*c$", REG_EXTENDED, "ab", "", 0, REGEXP_SEARCH_NOTHING, NULL},
        {"(a|b)*(c)$", REG_EXTENDED, "ab", "c", 3, REGEXP_SEARCH_FOUND, "c"},
        {".*<(.*)>", REG_EXTENDED, "a@b, ", "<x@y>", 2, REGEXP_SEARCH_FOUND, "x@y"},
        {"\\(x\\)y$", 0, "a@b, ", "xy", 2, REGEXP_SEARCH_FOUND, "x"},
        {"^foo$", REG_EXTENDED | REG_NEWLINE, "bar\n", "foo", 0, REGEXP_SEARCH_FOUND, NULL},
        {"^foo$", REG_EXTENDED, "bar\n", "foo", 0, REGEXP_SEARCH_NOTHING, NULL},
        {"(x+)\\1", REG_EXTENDED, "abc", "", 0, REGEXP_SEARCH_NOTHING, NULL},
        {"(a)\\1", REG_EXTENDED, "abc", "", 0, REGEXP_SEARCH_FAILED, NULL},
        {"[\\1]d", REG_EXTENDED, "abc", "1d", 0, REGEXP_SEARCH_FOUND, NULL},
        /* Every place is tried to its end, and matches only at the last. */
        {"(a.*b)?(c)$", REG_EXTENDED, "a", "c", 3, REGEXP_SEARCH_FAILED, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        regex_t regex;
        regmatch_t groups[3];
        struct str subject = STR_EMPTY, why = STR_EMPTY;
        while (subject.len + strlen(cases[i].filler) + strlen(cases[i].end) <= LONG_HEADER)
            str_append(&subject, cases[i].filler);
        str_append(&subject, cases[i].end);
        assert_int_equal(regcomp(&regex, cases[i].pattern, cases[i].flags), 0);
        struct regexp_search *search = regexp_search_new(&regex, cases[i].pattern, cases[i].flags);
        if (regexp_search_run(search, slice_of(str_text(&subject)), groups, cases[i].groups, &why) != cases[i].want)
            fail_msg("%s: unexpected result; %s", cases[i].pattern, str_text(&why));
        if (cases[i].last_group != NULL &&
            strncmp(str_text(&subject) + groups[cases[i].groups - 1].rm_so, cases[i].last_group, strlen(cases[i].last_group)) != 0)
            fail_msg("%s: wrong group", cases[i].pattern);
        regexp_search_free(search);
        regfree(&regex);
        str_free(&subject);
        str_free(&why);
    }
}

/* --- the same answers ------------------------------------------------------------------------- */

static void any_text(char *text, size_t size, const char *const *parts, size_t count)
{
    text[0] = '\0';
    for (size_t n = (size_t)random() % 8; n > 0; n--) {
        const char *part = parts[(size_t)random() % count];
        size_t len = strlen(text);
        if (len + strlen(part) < size)
            memcpy(text + len, part, strlen(part) + 1);
    }
}

static void compare(const char *pattern, int flags, const char *subject)
{
    regex_t regex;
    regmatch_t want[3], got[3];
    struct str why = STR_EMPTY;
    if (regcomp(&regex, pattern, flags) != 0)
        return;
    struct regexp_search *search = regexp_search_new(&regex, pattern, flags);
    for (size_t count = 0; count <= COUNT(want); count += COUNT(want)) {
        int code = regexec(&regex, subject, count, want, 0);
        enum regexp_search_result result = regexp_search_run(search, slice_of(subject), got, count, &why);
        if (result != (code == 0 ? REGEXP_SEARCH_FOUND : REGEXP_SEARCH_NOTHING) ||
            (code == 0 && memcmp(want, got, count * sizeof *want) != 0))
            fail_msg("/%s/ (flags %d) with \"%s\": %d, not as glibc says; %s", pattern, flags, subject, (int)result, str_text(&why));
    }
    regexp_search_free(search);
    regfree(&regex);
    str_free(&why);
}

static void answers_as_glibc_does(void **state UNUSED)
{
    static const char *const parts[] = {"a", "b", "ab", "(", ")", "(a)", "(a|b)", "|", "*", "+", "?", "{2}", "[ab]", "[^a]", "[]a]", ".", "^",
                                        "$", "\\.", "\\b", "\\<", "\\1", "(a.*)", "[\\1]", "[[:alpha:]]", "\n", "\\(b\\)", "\\|"};
    static const char *const letters[] = {"a", "b", "ab", "ba", ".", "1", "\n", "\\"};
    char pattern[64], subject[32];
    srandom(1);
    for (unsigned round = 0; round < 10000; round++) {
        any_text(pattern, sizeof pattern, parts, COUNT(parts));
        any_text(subject, sizeof subject, letters, COUNT(letters));
        compare(pattern, (round & 1 ? REG_EXTENDED : 0) | (round & 2 ? REG_NEWLINE : 0) | (round & 4 ? REG_ICASE : 0), subject);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_subjects_are_answered),
        cmocka_unit_test(answers_as_glibc_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
