/* SPDX-License-Identifier: ISC */
/* Strings, slices, arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/hex.h"
#include "common/base/str.h"

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const struct { const char *text; bool good; uint64_t number; } cases[] = {
        {"0", true, 0}, {"10240000", true, 10240000}, {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0}, {"99999999999999999999999", false, 0},
        {"", false, 0}, {"-1", false, 0}, {"+1", false, 0}, {" 1", false, 0}, {"1k", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t number = 0;
        bool good = slice_to_u64(slice_of(cases[i].text), &number);
        if (good != cases[i].good || number != cases[i].number)
            fail_msg("%s: %d %lu", cases[i].text, good, (unsigned long)number);
    }
}

static void bytes_are_written_in_digits_and_read_again(void **state)
{
    (void)state;
    static const struct { const char *digits; bool good; const char *bytes; } cases[] = {
        {"", true, ""}, {"41", true, "A"}, {"4a4A7f", true, "JJ\x7f"}, {"4", false, ""}, {"414", false, ""}, {"4g", false, ""},
        {"g4", false, ""}, {"4 ", false, ""}, {"0x41", false, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str out = STR_EMPTY;
        bool good = str_decode_hex(&out, slice_of(cases[i].digits));
        if (good != cases[i].good || (good && strcmp(str_text(&out), cases[i].bytes) != 0))
            fail_msg("%s: %d \"%s\"", cases[i].digits, good, str_text(&out));
        str_free(&out);
    }
    struct str digits = STR_EMPTY;
    str_append_hex(&digits, slice_range("\0 \xff", 3));
    assert_string_equal(str_text(&digits), "0020ff");
    str_free(&digits);
    assert_int_equal(hex_byte(SLICE("fF and more")), 255);
    assert_int_equal(hex_byte(SLICE("f")), -1);
}

static void tokens_are_split_at_separators(void **state)
{
    (void)state;
    struct slice rest = SLICE(",  a,\tbc ,"), token;
    assert_true(slice_next_token(&rest, ", \t", &token));
    assert_true(slice_equal(token, SLICE("a")));
    assert_true(slice_next_token(&rest, ", \t", &token));
    assert_true(slice_equal(token, SLICE("bc")));
    assert_false(slice_next_token(&rest, ", \t", &token));
    rest = slice_range("a\0b c", 5); /* a NUL is a character like any other */
    assert_true(slice_next_token(&rest, " ", &token));
    assert_int_equal(token.len, 3);
}

static void slices_compare_without_case(void **state)
{
    (void)state;
    assert_true(slice_equal_nocase(SLICE("MAIL From"), SLICE("mail fROM")));
    assert_false(slice_equal_nocase(SLICE("mail"), SLICE("mails")));
    assert_true(slice_starts_with_nocase(SLICE("FROM:<a>"), SLICE("from:")));
    assert_false(slice_starts_with_nocase(SLICE("FRO"), SLICE("from:")));
    assert_true(slice_equal(slice_trim(SLICE(" \t a b\r\n")), SLICE("a b")));
    assert_int_equal(slice_trim(SLICE(" \n ")).len, 0);
    assert_int_equal(slice_skip(SLICE("ab"), 9).len, 0);
}

static void a_str_grows_and_stays_a_c_string(void **state)
{
    (void)state;
    struct str s = STR_EMPTY;
    assert_string_equal(str_text(&s), "");
    for (int i = 0; i < 1000; i++)
        str_printf(&s, "%d,", i % 10);
    assert_int_equal(s.len, 2000);
    assert_int_equal(strlen(str_text(&s)), 2000);
    str_append_char(&s, '\0');
    assert_int_equal(s.len, 2001);
    str_truncate(&s, 4);
    assert_string_equal(str_text(&s), "0,1,");
    char *mine = str_detach(&s);
    assert_string_equal(mine, "0,1,");
    free(mine);
    assert_int_equal(s.cap, 0);
}

static void unprintable_bytes_are_shown_as_question_marks(void **state)
{
    (void)state;
    char text[] = "a\nb\x7f\xc3\xa9 c\x1b \xff \xc2\x9b \xed\xa0\x80 \xe2\x82\xac \xc3";
    text_make_printable(text, strlen(text));
    assert_string_equal(text, "a?b?\xc3\xa9 c? ? ?? ??? \xe2\x82\xac ?");
}

static void an_arena_hands_out_zeroed_memory_again_and_again(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 200000; size = size * 3 + 1) {
            unsigned char *data = arena_alloc(arena, size);
            assert_int_equal((uintptr_t)data % 16, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(data[i], 0);
            memset(data, 0xff, size);
        }
        assert_true(arena_used(arena) > 100000);
        arena_reset(arena);
        assert_int_equal(arena_used(arena), 0);
    }
    assert_string_equal(arena_printf(arena, "%s-%d", "x", 7), "x-7");
    assert_string_equal(arena_strndup(arena, "abcdef", 3), "abc");
    arena_free(arena);
    arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(bytes_are_written_in_digits_and_read_again),
        cmocka_unit_test(tokens_are_split_at_separators),
        cmocka_unit_test(slices_compare_without_case),
        cmocka_unit_test(a_str_grows_and_stays_a_c_string),
        cmocka_unit_test(unprintable_bytes_are_shown_as_question_marks),
        cmocka_unit_test(an_arena_hands_out_zeroed_memory_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
