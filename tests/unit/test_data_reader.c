/* SPDX-License-Identifier: ISC */
/* The end of DATA and nothing but it (SMTP smuggling); dots, line ends and NULs in the text; BDAT chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/smtp/server/data_reader.h"

static const struct {
    const char *what;
    struct slice wire;
    struct slice text;
    size_t left; /* bytes behind the end; SIZE_MAX: no end at all */
} cases[] = {
    {"plain", SLICE("a\r\nb\r\n.\r\n"), SLICE("a\nb\n"), 0},
    {"empty message", SLICE(".\r\n"), SLICE(""), 0},
    {"pipelined behind", SLICE("a\r\n.\r\nQUIT\r\n"), SLICE("a\n"), 6},
    {"stuffed dots", SLICE("..\r\n..a\r\n.b\r\n.\r\n"), SLICE(".\n.a\nb\n"), 0},
    {"dot in the middle", SLICE("a.\r\n.\r\n"), SLICE("a.\n"), 0},
    {"LF . LF", SLICE("a\n.\nMAIL\r\n.\r\n"), SLICE("a\nMAIL\n"), 0},
    {"LF . CRLF", SLICE("a\n.\r\nMAIL\r\n.\r\n"), SLICE("a\nMAIL\n"), 0},
    {"CRLF . LF", SLICE("a\r\n.\nMAIL\r\n.\r\n"), SLICE("a\nMAIL\n"), 0},
    {"CR . CR", SLICE("a\r.\rMAIL\r\n.\r\n"), SLICE("a . MAIL\n"), 0},
    {"CR . CRLF", SLICE("a\r.\r\nMAIL\r\n.\r\n"), SLICE("a .\nMAIL\n"), 0},
    {"CRLF . CR", SLICE("a\r\n.\rMAIL\r\n.\r\n"), SLICE("a\n MAIL\n"), 0},
    {"CRCRLF . CRCRLF", SLICE("a\r\r\n.\r\r\nMAIL\r\n.\r\n"), SLICE("a\nMAIL\n"), 0},
    {"CRLF . CRCRLF", SLICE("a\r\n.\r\r\nMAIL\r\n.\r\n"), SLICE("a\nMAIL\n"), 0},
    {"CRLF NUL . CRLF", SLICE("a\r\n\0.\r\nMAIL\r\n.\r\n"), SLICE("a\n\0.\nMAIL\n"), 0},
    {"CRLF . NUL CRLF", SLICE("a\r\n.\0\r\nMAIL\r\n.\r\n"), SLICE("a\n\0\nMAIL\n"), 0},
    {"CR NUL LF", SLICE("a\r\0\n.\r\nMAIL\r\n.\r\n"), SLICE("a \0\nMAIL\n"), 0},
    {"LF CR . CRLF", SLICE("a\n\r.\r\nMAIL\r\n.\r\n"), SLICE("a\n .\nMAIL\n"), 0},
    {"only LF to the end", SLICE("a\nb\n.\n"), SLICE("a\nb\n"), SIZE_MAX},
    {"LF lines, then a proper end", SLICE("a\nb\n\r\n.\r\n"), SLICE("a\nb\n\n"), 0},
    {"LF before the end", SLICE("a\r\n\n.\r\n\r\n.\r\n"), SLICE("a\n\n\n"), 0},
    {"NUL in the text", SLICE("a\0b\r\n.\r\n"), SLICE("a\0b\n"), 0},
    {"8-bit", SLICE("\xc3\xa9\xff\r\n.\r\n"), SLICE("\xc3\xa9\xff\n"), 0},
    {"vertical tab and form feed", SLICE("a\v.\f\r\n.\r\n"), SLICE("a\v.\f\n"), 0},
    {"unicode line separators", SLICE("a\xe2\x80\xa8.\xe2\x80\xa8\xc2\x85.\r\n.\r\n"), SLICE("a\xe2\x80\xa8.\xe2\x80\xa8\xc2\x85.\n"), 0},
    {"no end", SLICE("a\r\n"), SLICE("a\n"), SIZE_MAX},
    {"end at a stuffed line", SLICE("..\r\n.\r\n"), SLICE(".\n"), 0},
};

/* Feeds windows that grow by `step` bytes, as a network would. */
static size_t feed(struct slice wire, size_t step, struct str *text)
{
    struct data_reader reader;
    size_t arrived = 0, taken = 0;
    bool ended = false;
    data_reader_init(&reader, false);
    while (arrived < wire.len && !ended) {
        arrived = wire.len - arrived > step ? arrived + step : wire.len;
        taken += data_reader_feed(&reader, slice_range(wire.data + taken, arrived - taken), text, &ended);
    }
    return ended ? wire.len - taken : SIZE_MAX;
}

static void data_ends_only_where_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step <= cases[i].wire.len; step++) {
            struct str text = STR_EMPTY;
            size_t left = feed(cases[i].wire, step, &text);
            bool has_end = cases[i].left != SIZE_MAX;
            if ((left != SIZE_MAX) != has_end)
                fail_msg("%s, step %zu: %s", cases[i].what, step, has_end ? "no end seen" : "an end seen");
            /* Bytes that had not arrived when the end was seen do not count. */
            if (!slice_equal(str_slice(&text), cases[i].text) || (has_end && left > cases[i].left + step))
                fail_msg("%s, step %zu: \"%s\"", cases[i].what, step, str_text(&text));
            str_free(&text);
        }
}

static void a_line_longer_than_the_window_passes(void **state)
{
    (void)state;
    struct str wire = STR_EMPTY, text = STR_EMPTY;
    for (int i = 0; i < 100000; i++)
        str_append_char(&wire, i % 977 == 0 ? '\r' : 'x');
    str_append(&wire, "\r\n.\r\n");
    assert_int_equal(feed(str_slice(&wire), 1000, &text), 0);
    assert_int_equal(text.len, 100001);
    assert_null(memchr(text.data, '\r', text.len));
    str_free(&wire);
    str_free(&text);
}

/* smtpd_forbid_bare_newline = no: whatever looks like an end is one. */
static void any_lone_dot_may_end(void **state)
{
    static const char *const ends[] = {"a\n.\n", "a\n.\r\n", "a\r\n.\n", "a\r\n.\r\n", "a\n.\r\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct data_reader reader;
        struct str text = STR_EMPTY;
        bool ended;
        data_reader_init(&reader, false);
        reader.any_dot_ends = true;
        assert_int_equal(data_reader_feed(&reader, slice_of(ends[i]), &text, &ended), strlen(ends[i]));
        assert_true(ended);
        assert_string_equal(str_text(&text), "a\n");
        str_free(&text);
    }
}

static void chunks_know_no_dots(void **state)
{
    (void)state;
    static const char wire[] = "\r\n.\r\n..\r\nMAIL\r\r\na\rb\nno end";
    for (size_t cut = 0; cut < sizeof wire; cut++) {
        struct data_reader reader;
        struct str text = STR_EMPTY;
        bool ended;
        data_reader_init(&reader, true);
        assert_int_equal(data_reader_feed(&reader, slice_range(wire, cut), &text, &ended), cut);
        assert_int_equal(data_reader_feed(&reader, slice_range(wire + cut, sizeof wire - 1 - cut), &text, &ended),
                         sizeof wire - 1 - cut);
        data_reader_finish(&reader, &text);
        assert_false(ended);
        assert_string_equal(str_text(&text), "\n.\n..\nMAIL\na b\nno end\n");
        assert_true(reader.saw_bare_lf);
        str_free(&text);
    }
}

static void stray_cr_is_kept_on_request(void **state)
{
    (void)state;
    struct data_reader reader;
    struct str text = STR_EMPTY;
    bool ended;
    data_reader_init(&reader, false);
    reader.keep_bare_cr = true;
    data_reader_feed(&reader, SLICE("a\rb\r\n.\r\n"), &text, &ended);
    assert_true(ended);
    assert_string_equal(str_text(&text), "a\rb\n");
    str_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_ends_only_where_it_should), cmocka_unit_test(a_line_longer_than_the_window_passes),
        cmocka_unit_test(any_lone_dot_may_end),
        cmocka_unit_test(chunks_know_no_dots), cmocka_unit_test(stray_cr_is_kept_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
