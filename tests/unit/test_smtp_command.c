/* SPDX-License-Identifier: ISC */
/* How command lines are cut into tokens, and what UTF-8 is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/smtp/server/session.h"

static const struct {
    const char *line;
    const char *tokens; /* joined by "|"; "!" in front of a broken one */
} cases[] = {
    {"NOOP", "NOOP"},
    {"  NOOP \t x ", "NOOP|x"},
    {"", ""},
    {" \t ", ""},
    {"MAIL FROM:<a@b>", "MAIL|FROM:|<a@b>"},
    {"MAIL FROM: <a@b> SIZE=1", "MAIL|FROM:|<a@b>|SIZE=1"},
    {"MAIL from:a@b", "MAIL|from:|a@b"},
    {"MAIL FROM :<a@b>", "MAIL|FROM|:<a@b>"},
    {"RCPT TO:<\"a b\"@c> NOTIFY=NEVER", "RCPT|TO:|<\"a b\"@c>|NOTIFY=NEVER"},
    {"RCPT TO:<a b@c>", "RCPT|TO:|<a b@c>"},
    {"RCPT TO:<\"a>b\"@c>x", "RCPT|TO:|<\"a>b\"@c>x"},
    {"RCPT TO:<a", "RCPT|TO:|!<a"},
    {"RCPT TO:<\"a", "RCPT|TO:|!<\"a"},
    {"RCPT TO:<a\\> b>", "RCPT|TO:|<a\\> b>"},
    {"HELO a.example:x", "HELO|a.example:x"},
    {"HELO \"a b\" c", "HELO|\"a b\"|c"},
    {"HELO a(b c)d", "HELO|a(b|c)d"},
    {"MAIL FROM:<a<b c> d> e", "MAIL|FROM:|<a<b c> d>|e"},
    {"MAIL FROM:<a@b A=<c d>", "MAIL|FROM:|!<a@b A=<c d>"},
    {"MAIL FROM:<\"a<\"@b> c", "MAIL|FROM:|<\"a<\"@b>|c"},
    {"HELO a\\ b", "HELO|a\\ b"},
    {"HELO a\\", "HELO|a\\"},
    {"HELO (", "HELO|("},
};

static void lines_are_cut(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct str joined = STR_EMPTY;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct smtp_command command;
        smtp_command_parse(slice_of(cases[i].line), arena, &command);
        str_clear(&joined);
        for (size_t j = 0; j < command.count; j++)
            str_printf(&joined, "%s%s%s", j > 0 ? "|" : "", command.tokens[j].is_broken ? "!" : "", command.tokens[j].text);
        assert_string_equal(str_text(&joined), cases[i].tokens);
    }
    str_free(&joined);
    arena_free(arena);
}

static void a_nul_breaks_a_token(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct smtp_command command;
    smtp_command_parse(SLICE("MAIL FROM:<a\0b@c>"), arena, &command);
    assert_int_equal(command.count, 3);
    assert_true(command.tokens[2].is_broken);
    assert_false(smtp_token_is(&command.tokens[2], "<a"));
    arena_free(arena);
}

static void parameters_are_bounded(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct str line = STR_EMPTY;
    struct smtp_command command;
    for (int i = 0; i < 4000; i++)
        str_append(&line, "x ");
    smtp_command_parse(str_slice(&line), arena, &command);
    assert_in_range(command.count, 100, 1000);
    assert_true(arena_used(arena) < 100000);
    str_free(&line);
    arena_free(arena);
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xc3(", "a\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!text_is_utf8(slice_of(good[i])))
            fail_msg("good text %zu refused", i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (text_is_utf8(slice_of(bad[i])))
            fail_msg("bad text %zu taken", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut), cmocka_unit_test(a_nul_breaks_a_token), cmocka_unit_test(parameters_are_bounded),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
