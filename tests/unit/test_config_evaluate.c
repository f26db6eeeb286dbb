/* SPDX-License-Identifier: ISC */
/* $name and its relatives. */
#include <config.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/config/evaluate.h"

static const char *look_up(void *context, const char *name)
{
    static const struct { const char *name, *value; } values[] = {
        {"one", "1"}, {"ten", "10"}, {"empty", ""}, {"text", "abc"}, {"indirect", "<$text>"},
        {"self", "$self"}, {"left", "$right"}, {"right", "x$left"}, {"level", "3.6"},
        {"twice", "$$one"}, {"to_empty", "$empty"},
        {"d1", "$text$text"}, {"d2", "$d1$d1"}, {"bomb0", "0123456789"}, {"bomb1", "$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0"},
        {"bomb2", "$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1"}, {"bomb3", "$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2"},
        {"bomb4", "$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3"}, {"bomb5", "$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4"}};
    (void)context;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    return NULL;
}

static const struct evaluate_source source = {look_up, NULL};

/* NULL: evaluation must fail. */
static const struct { const char *text, *value; } cases[] = {
    {"", ""},
    {"plain text", "plain text"},
    {"$text", "abc"},
    {"${text}", "abc"},
    {"$(text)", "abc"},
    {"${ text }", "abc"},
    {"a$text.b", "aabc.b"},
    {"$indirect!", "<abc>!"},
    {"$nothing", ""},
    {"$$", "$"},
    {"$$text", "$text"},
    {"$twice", "$one"},
    {"${text?yes}", "yes"},
    {"${text:no}", ""},
    {"${empty?yes}", ""},
    {"${empty:no}", "no"},
    {"${nothing:no}", "no"},
    {"${to_empty?raw value counts}", "raw value counts"},
    {"${text?{yes}:{no}}", "yes"},
    {"${nothing?{yes}:{no}}", "no"},
    {"${nothing ? {yes} : {$text}}", "abc"},
    {"${text?a:b}", "a:b"},
    {"${text??foo:{b}ar}", "?foo:{b}ar"},
    {"${text?{a}:b}", "a"},
    {"${nothing?{a}:b c}", "b c"},
    {"${{$one} == {1} ? {same} : {other}}", "same"},
    {"${{$one} != {1} ? {same} : {other}}", "other"},
    {"${{$ten} > {9}?{number}:{text}}", "number"},
    {"${{b} > {9}?{greater}:{less}}", "greater"},
    {"${{2} < {10}?y}", "y"},
    {"${{x2} < {x10}?y}", ""},
    {"${{2} <= {2}:{n}}", ""},
    {"${{3} >= {2}}", "true"},
    {"${{3} >= {4}}", ""},
    {"${{$level} <level {3.10} ? {old} : {new}}", "old"},
    {"${{$level} >=level {3.6} ? {new} : {old}}", "new"},
    {"${{0} <level {1} ? {yes} : {no}}", "yes"},
    {"${domain_to_ascii{ example.org }}", "example.org"},
    {"${domain_to_utf8{example.org}}", "example.org"},
#ifdef HAVE_LIBIDN2
    {".${domain_to_ascii{b\303\274cher.example}}", ".xn--bcher-kva.example"},
    {"${domain_to_ascii{B\303\234CHER.example}}", "xn--bcher-kva.example"},
    {"${domain_to_ascii{stra\303\237e.example}}", "xn--strae-oqa.example"},
    {"${domain_to_utf8{xn--bcher-kva.example}}", "b\303\274cher.example"},
    {"${domain_to_utf8{${domain_to_ascii{b\303\274cher.example}}}}", "b\303\274cher.example"},
#else
    {"${domain_to_ascii{b\303\274cher.example}}", NULL},
    {"${domain_to_utf8{xn--bcher-kva.example}}", NULL},
#endif
    {"$d2", "abcabcabcabc"},
    /* what must fail */
    {"$", NULL},
    {"a $ b", NULL},
    {"${}", NULL},
    {"${text", NULL},
    {"$(text", NULL},
    {"${te-xt}", NULL},
    {"${text?{a}:{b}c}", NULL},
    {"${text?{a}{b}}", NULL},
    {"${text?{a}", NULL},
    {"${{1} ~ {2}}", NULL},
    {"${{1} == 2}", NULL},
    {"${{1} {2}}", NULL},
    {"${{a} <level {3.6}}", NULL},
    {"${{1} == {1} x}", NULL},
    {"${unknown_function{x}}", NULL},
    {"${domain_to_ascii{$self}}", NULL},
    {"${domain_to_ascii{\303\050}}", NULL}, /* not UTF-8 */
    {"$self", NULL},
    {"$left", NULL},
    {"$bomb5$bomb5$bomb5$bomb5", NULL},
};

static void values_are_evaluated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str result = STR_EMPTY, why = STR_EMPTY;
        bool ok = evaluate_text(&source, slice_of(cases[i].text), &result, &why);
        if (ok != (cases[i].value != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? str_text(&result) : str_text(&why));
        if (ok && strcmp(str_text(&result), cases[i].value) != 0)
            fail_msg("%s: got \"%s\"", cases[i].text, str_text(&result));
        if (!ok && why.len == 0)
            fail_msg("%s: no reason given", cases[i].text);
        str_free(&result);
        str_free(&why);
    }
}

static void deep_nesting_ends(void **state)
{
    (void)state;
    struct str text = STR_EMPTY, result = STR_EMPTY, why = STR_EMPTY;
    for (int i = 0; i < 5000; i++)
        str_append(&text, "${one?{");
    for (int i = 0; i < 5000; i++)
        str_append(&text, "}}");
    assert_false(evaluate_text(&source, str_slice(&text), &result, &why));
    str_free(&text);
    str_free(&result);
    str_free(&why);
}

static void note_name(void *context, struct slice name)
{
    struct str *names = context;
    str_append_slice(names, name);
    str_append_char(names, ' ');
}

static void names_are_found_in_every_branch(void **state)
{
    (void)state;
    struct str names = STR_EMPTY;
    evaluate_visit_names(SLICE("$a ${b?{$c}:{x$(d)}} $$e ${{$f} == {g} ? {$h}} ${domain_to_ascii{$i}} $"),
                         note_name, &names);
    assert_string_equal(str_text(&names), "a b c d f h i ");
    str_free(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_evaluated),
        cmocka_unit_test(deep_nesting_ends),
        cmocka_unit_test(names_are_found_in_every_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
