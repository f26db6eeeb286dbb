/* SPDX-License-Identifier: ISC */
/* The RFC 7208 test suite (spf/rfc7208-tests.txt) through libspf2 and our hooks, with a zone in memory. All of it: there is
 * no case where we differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/unit/spf_zone.h"

struct suite_test {
    char *id, *helo, *host, *from, *result, *explanation;
};

static unsigned wrong, run_tests;

/* \xNN to bytes; NUL becomes 1, as dns_message_read() has it. */
static char *unescape(const char *text)
{
    char *out = mem_alloc(strlen(text) + 1), *to = out;
    while (*text != '\0') {
        if (text[0] == '\\' && text[1] == 'x') {
            char digits[3] = {text[2], text[3], '\0'};
            *to = (char)strtoul(digits, NULL, 16);
            *to += *to == '\0';
            to++;
            text += 4;
        } else
            *to++ = *text++;
    }
    *to = '\0';
    return out;
}

/* Is the word among those separated by blanks? */
static bool has_word(const char *words, const char *word)
{
    struct slice rest = slice_of(words), one;
    while (slice_next_token(&rest, " ", &one))
        if (slice_equal(one, slice_of(word)))
            return true;
    return false;
}

static void check(const struct suite_test *test)
{
    struct arena *arena = arena_new();
    struct spf_question question = {test->host, test->helo, test->from, "mail.receiver.test", SPF_HELO | SPF_MAIL_FROM};
    struct spf_verdict verdict;
    const char *sender = *test->from != '\0' ? test->from : arena_printf(arena, "postmaster@%s", test->helo);
    spf_check_host(&question, sender, arena, &verdict);
    const char *explanation = test->explanation != NULL && strcmp(test->explanation, "DEFAULT") != 0 ? test->explanation : "";
    bool good = has_word(test->result, spf_result_name(verdict.result)) &&
                (test->explanation == NULL || strcmp(explanation, verdict.explanation) == 0);
    run_tests++;
    if (!good) {
        print_error("%s: %s (%s) \"%s\", expected %s \"%s\"\n", test->id, spf_result_name(verdict.result), verdict.problem,
                    verdict.explanation, test->result, explanation);
        wrong++;
    }
    arena_free(arena);
}

static void end_test(struct suite_test *test)
{
    if (test->id != NULL)
        check(test);
    free(test->id);
    free(test->helo);
    free(test->host);
    free(test->from);
    free(test->result);
    free(test->explanation);
    *test = (struct suite_test){NULL};
}

static void read_zone(char *line)
{
    char *type = strchr(line, ' '), *data = type != NULL ? strchr(type + 1, ' ') : NULL;
    assert_non_null(type);
    *type++ = '\0';
    if (data != NULL)
        *data++ = '\0';
    char *name = unescape(line), *value = unescape(data != NULL ? data : "");
    zone_add(name, type, value);
    free(name);
    free(value);
}

static void read_field(struct suite_test *test, char *line)
{
    char *value = strchr(line, ' ');
    if (value != NULL)
        *value++ = '\0';
    char **slot = strcmp(line, "helo") == 0 ? &test->helo : strcmp(line, "host") == 0 ? &test->host :
                  strcmp(line, "from") == 0 ? &test->from : strcmp(line, "result") == 0 ? &test->result : &test->explanation;
    *slot = unescape(value != NULL ? value : "");
}

static void test_suite(void **state UNUSED)
{
    const char *srcdir = getenv("srcdir");
    char *path = mem_printf("%s/tests/unit/spf/rfc7208-tests.txt", srcdir != NULL ? srcdir : ".");
    FILE *file = fopen(path, "re");
    char line[4096];
    struct suite_test test = {NULL};
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == ' ') {
            read_field(&test, line + 1);
            continue;
        }
        end_test(&test);
        if (strncmp(line, "scenario ", 9) == 0)
            zone_clear();
        else if (strncmp(line, "zone ", 5) == 0)
            read_zone(line + 5);
        else if (strncmp(line, "test ", 5) == 0)
            test.id = mem_strdup(line + 5);
    }
    end_test(&test);
    zone_clear();
    fclose(file);
    free(path);
    assert_int_equal(run_tests, 203);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
