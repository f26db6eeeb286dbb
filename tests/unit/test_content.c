/* SPDX-License-Identifier: ISC */
/* What cleanup does to content, as far as it is pure: MIME structure, actions of content checks, addresses in headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "common/cleanup/check_action.h"
#include "common/cleanup/header_addresses.h"
#include "common/cleanup/header_class.h"
#include "common/cleanup/mime_state.h"
#include "common/mail/address_rewrite.h"
#include "common/mail/cleanup_protocol.h"

static const struct mime_rules rules = {
    .header_limit = 40, .boundary_limit = 8, .nesting_limit = 2, .line_limit = 26,
    .reports = MIME_ERROR_NESTING | MIME_ERROR_8BIT_HEADER | MIME_ERROR_8BIT_BODY | MIME_ERROR_ENCODING};

/* One letter a piece: P, M, N headers (primary, multipart, nested), b body, + a piece of a line, i an inserted line;
 * then its text in brackets, and ! with the errors found there. */
static void describe(const struct mime_item *item, struct str *out)
{
    static const char letters[] = {[MIME_PRIMARY] = 'P', [MIME_MULTIPART] = 'M', [MIME_NESTED] = 'N', [MIME_BODY] = 'b'};
    str_append_char(out, item->is_inserted ? 'i' : item->ends_line ? letters[item->part] : '+');
    str_printf(out, "[%.*s]", SLICE_ARGS(item->text));
    if (item->errors != 0)
        str_printf(out, "!%u", item->errors);
}

/* In pieces of `step` bytes, as a network gives them. */
static void read_in_steps(const struct mime_rules *with, struct slice text, size_t step, struct str *out)
{
    struct mime_state state;
    struct mime_item item;
    size_t at = 0, end = 0;
    mime_init(&state, with);
    while (at < text.len) {
        end = end + step < text.len ? end + step : text.len;
        struct slice rest = slice_range(text.data + at, end - at);
        while (mime_next(&state, &rest, end == text.len, &item))
            describe(&item, out);
        at = end - rest.len;
        assert_false(end == text.len && rest.len > 0);
    }
    mime_free(&state);
}

static const struct { const char *text, *pieces; } structures[] = {
    {"A: b\nC: d\n e\n\nx\ny\n", "P[A: b]P[C: d\n e]b[]b[x]b[y]"},
    {"A : b\n\n", "P[A: b]b[]"},
    {"no header\nA: b\n", "i[]b[no header]b[A: b]"},
    {"A: b\n", "P[A: b]"},
    {"A: b", "P[A: b]"},
    {"", ""},
    {"\nx", "b[]+[x]"},
    {"\nA line of 26 bytes........\nA line of 27 bytes.........\n",
     "b[]+[A line of 26 bytes........]b[]+[A line of 27 bytes........]b[.]"},
    {"Content-Type: multipart/a; boundary=b\n\n--b\nA: c\n\nx\n--b--\nA: c\n",
     "P[Content-Type: multipart/a; boundary=b]b[]b[--b]M[A: c]b[]b[x]b[--b--]b[A: c]"},
    {"Content-Type: multipart/a;boundary=\"b\"\n\n--b\nx\n--bcruft\nA: c\n",
     "P[Content-Type: multipart/a;boundary=\"b\"]b[]b[--b]b[x]b[--bcruft]M[A: c]"},
    {"Content-Type: message/rfc822\n\nA: b\n\nC: d\n", "P[Content-Type: message/rfc822]b[]N[A: b]b[]b[C: d]"},
    {"Content-Type: (c) message (d) / rfc822\n\nA: b\n", "P[Content-Type: (c) message (d) / rfc822]b[]N[A: b]"},
    {"Content-Type:multipart/digest;boundary=b\n\n--b\n\nA: b\n",
     "P[Content-Type:multipart/digest;boundary=b]b[]b[--b]b[]N[A: b]"},
    /* A header that is too long is cut, and what it hides does not turn up as text. */
    {"A: 0123456789\n 0123456789\n 0123456789\n 0123456789\nB: c\n\n",
     "P[A: 0123456789\n 0123456789\n 0123456789\n 0]P[B: c]b[]"},
    {"A: 0123456789012345678901234567890123456789012345678901234567890\nB: c\n\n",
     "P[A: 0123456789012345678901234567890123456]P[B: c]b[]"},
    /* A long boundary is cut, too: the beginning decides. */
    {"Content-Type: multipart/a;boundary=12345678\n\n--12345678\nA: b\n",
     "P[Content-Type: multipart/a;boundary=12345]b[]b[--12345678]M[A: b]"},
    {"A: \xc3\xa4\n\nx\n", "P[A: \xc3\xa4]!2b[]b[x]"},
    {"A: b\n\n\xc3\xa4\n", "P[A: b]b[]b[\xc3\xa4]!4"},
    {"Content-Transfer-Encoding: 8bit\n\n\xc3\xa4\n", "P[Content-Transfer-Encoding: 8bit]b[]b[\xc3\xa4]"},
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nx\n",
     "P[Content-Type: message/rfc822]P[Content-Transfer-Encoding: base64]b[]!8b[x]"},
};

static void structures_are_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof structures / sizeof structures[0]; i++)
        for (size_t step = 1; step <= strlen(structures[i].text) + 1; step++) {
            struct str out = STR_EMPTY;
            read_in_steps(&rules, slice_of(structures[i].text), step, &out);
            if (strcmp(str_text(&out), structures[i].pieces) != 0)
                fail_msg("structure %zu in steps of %zu: %s", i, step, str_text(&out));
            str_free(&out);
        }
}

static void nesting_is_bounded(void **state)
{
    struct mime_state mime;
    struct mime_item item;
    unsigned errors = 0;
    struct str text = STR_EMPTY;
    (void)state;
    for (unsigned level = 0; level < 50; level++)
        str_printf(&text, "Content-Type: multipart/x;boundary=%u\n\n--%u\n", level, level);
    struct mime_rules wide = rules;
    wide.header_limit = 1000;
    wide.line_limit = 1000;
    mime_init(&mime, &wide);
    struct slice rest = str_slice(&text);
    while (mime_next(&mime, &rest, true, &item)) {
        errors |= item.errors;
        assert_true(mime.depth <= rules.nesting_limit + 2);
    }
    assert_int_equal(errors, MIME_ERROR_NESTING);
    assert_string_equal(mime_error_text(errors | MIME_ERROR_8BIT_BODY), "5.6.0 MIME nesting exceeds safety limit");
    mime_free(&mime);
    str_free(&text);
}

static const struct { const char *value; bool is_header; enum check_verb verb; const char *text, *complaint; } actions[] = {
    {"REJECT", true, CHECK_REJECT, "", ""},
    {"reject  5.7.1 text ", true, CHECK_REJECT, "5.7.1 text ", ""},
    {"DUNNO whatever", true, CHECK_DUNNO, "whatever", ""},
    {"OK", true, CHECK_DUNNO, "", ""},
    {"PREPEND X: y", true, CHECK_PREPEND, "X: y", ""},
    {"PREPEND no header", false, CHECK_PREPEND, "no header", ""},
    {"PREPEND no header", true, CHECK_BROKEN, "no header",
     "bad PREPEND header text \"no header\" in map_name map -- need \"headername: headervalue\""},
    {"REPLACE", false, CHECK_BROKEN, "", "REPLACE action without text in map_name map"},
    {"REDIRECT nobody", true, CHECK_BROKEN, "nobody", "bad REDIRECT target \"nobody\" in map_name map -- need user@domain"},
    {"BCC a@b", true, CHECK_BCC, "a@b", ""},
    {"FILTER", true, CHECK_BROKEN, "", "missing FILTER command argument in map_name map"},
    {"FILTER a", true, CHECK_BROKEN, "a", "bad FILTER command a in map_name -- need transport:destination"},
    {"FILTER a:b", true, CHECK_FILTER, "a:b", ""},
    {"REJECTED", true, CHECK_BROKEN, "", "unknown command in map_name map: REJECTED"},
    {"", true, CHECK_BROKEN, "", "unknown command in map_name map: "},
};

static void actions_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        struct check_action action;
        struct str complaint = STR_EMPTY;
        check_action_parse(actions[i].value, "map_name", actions[i].is_header, &action, &complaint);
        assert_int_equal(action.verb, actions[i].verb);
        assert_true(slice_equal(action.text, slice_of(actions[i].text)));
        assert_string_equal(str_text(&complaint), actions[i].complaint);
        str_free(&complaint);
    }
}

static const struct { const char *text, *reason; bool is_deferral, complains; } reasons[] = {
    {"", "5.7.1 message content rejected", false, false},
    {"go away", "5.7.1 go away", false, false},
    {"5.1.2 go away", "5.1.2 go away", false, false},
    {"4.1.2 later", "4.1.2 later", true, false},
    {"2.1.2 odd", "4.1.2 odd", true, true},
    {"5.7.1", "5.7.1 ", false, false},
    {"5.7 x", "5.7.1 5.7 x", false, false},
    {"5.7.1x", "5.7.1 5.7.1x", false, false},
    {"5.1234.1 x", "5.7.1 5.1234.1 x", false, false},
};

static void reasons_have_a_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct str reason = STR_EMPTY, complaint = STR_EMPTY;
        bool is_deferral;
        check_reject_reason(slice_of(reasons[i].text), &reason, &is_deferral, &complaint);
        assert_string_equal(str_text(&reason), reasons[i].reason);
        assert_int_equal(is_deferral, reasons[i].is_deferral);
        assert_int_equal(complaint.len > 0, reasons[i].complains);
        str_free(&reason);
        str_free(&complaint);
    }
}

/* With "example.com" behind every user; tests/e2e/test_content.py holds many more beside Postfix. */
static const struct { const char *value, *out; } lists[] = {
    {" anna", "To: anna@example.com\n"},
    {"Anna A. <anna>, \"B, B\" <b> (c)", "To: Anna A. <anna@example.com>, \"B, B\" <b@example.com>(c)\n"},
    {"a b c", "To: a@example.com, b@example.com, c@example.com\n"},
    {"group: a, b;", "To: group: a@example.com, b@example.com;\n"},
    {"undisclosed-recipients:;", "To: undisclosed-recipients: ;\n"},
    {"<>", "To: <>\n"},
    {"\"x y\"", "To: \"x y\"@example.com\n"},
    {"user1@host1.example.com, user2@host2.example.com, user3@host3.example.com",
     "To: user1@host1.example.com, user2@host2.example.com,\n\tuser3@host3.example.com\n"},
};

static void addresses_in_headers_are_found(void **state)
{
    const struct rewrite_rules rewrite = {.origin = "example.com", .domain = "example.com", .append_at_origin = true};
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct arena *arena = arena_new();
        struct header_addresses addresses;
        struct str out = STR_EMPTY, stripped = STR_EMPTY;
        header_addresses_parse(slice_of(lists[i].value), 0, arena, &addresses);
        for (size_t j = 0; j < addresses.count; j++)
            rewrite_tokens(&rewrite, &addresses.list[j]->tokens);
        header_addresses_format(&addresses, SLICE("To"), &out, &stripped);
        assert_string_equal(str_text(&out), lists[i].out);
        assert_int_equal(stripped.len, 0);
        str_free(&out);
        arena_free(arena);
    }
}

static const struct { const char *text; bool is_full; } full[] = {
    {"a@b.c", true}, {"A B <a@b.c>, d@e.f", true}, {" a@b.c ", true}, {"a@b", false}, {"a", false}, {"a@b.c.", false},
    {"a@.b.c", false}, {"@b.c", false}, {"a@b@c.d", false}, {"a..b@c.d", false}, {"a%b@c.d", false}, {"\"a\" <a@b.c>", false},
    {"<a@b.c", false}, {"a@[1.2.3.4]", false}, {"x: a@b.c;", false}, {"a@b.c (d)", false}, {"a!b@c.d", false},
};

static void full_addresses_need_no_work(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof full / sizeof full[0]; i++)
        if (header_addresses_are_full(slice_of(full[i].text)) != full[i].is_full)
            fail_msg("\"%s\"", full[i].text);
}

/* 100 KB of the shortest tokens: time and memory stay in proportion. */
static void long_lists_cost_no_more_than_they_are_long(void **state)
{
    struct arena *arena = arena_new();
    struct header_addresses addresses;
    struct str text = STR_EMPTY;
    (void)state;
    for (unsigned i = 0; i < 25000; i++)
        str_append(&text, "a,<(");
    header_addresses_parse(str_slice(&text), 10240, arena, &addresses);
    assert_true(arena_used(arena) < 16u * 1024 * 1024);
    str_free(&text);
    arena_free(arena);
}

static int64_t parsing_costs_cpu_us(const char *repeated, unsigned count, const char *end)
{
    struct timespec began, ended;
    struct arena *arena = arena_new();
    struct header_addresses addresses;
    struct str text = STR_EMPTY;
    for (unsigned k = 0; k < count; k++)
        str_append(&text, repeated);
    str_append(&text, end);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    header_addresses_parse(str_slice(&text), 0, arena, &addresses);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    str_free(&text);
    arena_free(arena);
    return (int64_t)(ended.tv_sec - began.tv_sec) * 1000000 + (ended.tv_nsec - began.tv_nsec) / 1000;
}

/* Each element must not search the whole list: sixteen times the text may not cost its square, 256 times as much. No clock on
 * the wall: only how one run's processor time relates to another's counts, and one good try of three is enough. */
static void no_list_takes_time_by_its_square(void **state)
{
    static const char *const repeated[] = {"<", ":", "a:", "a@b,", "<>", "a b ", "<a>", "@", ";"};
    static const char *const ends[] = {"", ">", ";"};
    (void)state;
    for (size_t i = 0; i < sizeof repeated / sizeof repeated[0]; i++)
        for (size_t j = 0; j < sizeof ends / sizeof ends[0]; j++) {
            bool in_proportion = false;
            for (unsigned tries = 0; tries < 3 && !in_proportion; tries++) {
                int64_t few = parsing_costs_cpu_us(repeated[i], 2500, ends[j]);
                in_proportion = parsing_costs_cpu_us(repeated[i], 40000, ends[j]) < 64 * (few + 50);
            }
            if (!in_proportion)
                fail_msg("\"%s\" many times, then \"%s\"", repeated[i], ends[j]);
        }
}

static void a_question_comes_back_line_by_line(void **state)
{
    const struct check_group groups[] = {{"regexp:/a", "header_checks"}, {"", "body_checks"}};
    struct check_question question;
    struct str body = STR_EMPTY;
    struct arena *arena = arena_new();
    struct slice line;
    uint8_t group;
    (void)state;
    check_question_begin(groups, 2, &body);
    check_question_count(2, &body);
    check_question_line(0, SLICE("Subject: x\n y"), &body);
    check_question_line(1, slice_range("a\0b", 3), &body);
    assert_true(check_question_decode(str_slice(&body), arena, &question));
    assert_int_equal(question.line_count, 2);
    assert_string_equal(question.groups[0].maps, "regexp:/a");
    assert_true(check_question_next(&question, &group, &line) && group == 0 && slice_equal(line, SLICE("Subject: x\n y")));
    assert_true(check_question_next(&question, &group, &line) && group == 1 && line.len == 3);
    assert_true(ipc_reader_finish(&question.reader));
    check_question_line(7, SLICE("no such group"), &body);
    assert_true(check_question_decode(str_slice(&body), arena, &question));
    str_free(&body);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structures_are_seen),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(actions_are_read),
        cmocka_unit_test(reasons_have_a_status),
        cmocka_unit_test(addresses_in_headers_are_found),
        cmocka_unit_test(full_addresses_need_no_work),
        cmocka_unit_test(long_lists_cost_no_more_than_they_are_long),
        cmocka_unit_test(no_list_takes_time_by_its_square),
        cmocka_unit_test(a_question_comes_back_line_by_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
