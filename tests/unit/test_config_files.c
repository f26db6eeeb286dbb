/* SPDX-License-Identifier: ISC */
/* The readers of main.cf and master.cf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/config/config.h"
#include "common/config/main_cf.h"
#include "common/config/master_cf.h"

/* One setting or one problem that a text must give. */
static const struct main_case {
    const char *text;
    const char *name, *value; /* NULL: no such setting */
    unsigned line;
    const char *problem; /* NULL: none */
    bool fatal;
} main_cases[] = {
    {"a = b\n", "a", "b", 1, NULL, false},
    {"a=b", "a", "b", 1, NULL, false},
    {"# c\n\n  # d\na =  b  c \n", "a", "b  c", 4, NULL, false},
    {"a =\n", "a", "", 1, NULL, false},
    {"a = x,\n  y\n\tz\nb = 1\n", "a", "x,  y\tz", 1, NULL, false},
    {"a = x\n# comment\n  # another\n\n y\n", "a", "x y", 1, NULL, false},
    {"a = x\r\n", "a", "x", 1, NULL, false},
    {"a = b = c\n", "a", "b = c", 1, NULL, false},
    {"a = 1\na = 2\n", "a", "2", 2, "overriding earlier entry: a=1", false},
    {"a = 1\na = 1\n", "a", "1", 2, NULL, false},
    {"just words\n", "just", NULL, 0, "missing '=' after attribute name: \"just words\"", true},
    {"= x\n", "", NULL, 0, "missing attribute name: \"= x\"", true},
    {" a = b\nc = d\n", "c", "d", 2, "logical line must not start with whitespace: \" a = b\"", false},
    {"process_id = 5\n", "process_id", NULL, 0, "read-only parameter assignment: process_id=5", false},
};

static void check_main_case(const struct main_case *c)
{
    struct config *config = config_new_default();
    struct config_problems problems = {0};
    main_cf_parse("main.cf", slice_of(c->text), config, &problems);
    if (config_is_set(config, c->name) != (c->value != NULL))
        fail_msg("\"%s\": wrong settings", c->text);
    if (c->value != NULL && strcmp(config_raw(config, c->name), c->value) != 0)
        fail_msg("\"%s\": %s", c->text, config_raw(config, c->name));
    if (c->value != NULL && config_origin(config, c->name).line != c->line)
        fail_msg("\"%s\": line %u", c->text, config_origin(config, c->name).line);
    if (problems.count != (c->problem != NULL ? 1 : 0))
        fail_msg("\"%s\": %zu problems", c->text, problems.count);
    if (c->problem != NULL && strcmp(problems.list[0].text, c->problem) != 0)
        fail_msg("\"%s\": %s", c->text, problems.list[0].text);
    if (c->problem != NULL && problems.list[0].fatal != c->fatal)
        fail_msg("\"%s\": fatal or not", c->text);
    config_problems_free(&problems);
    config_free(config);
}

static void main_cf_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof main_cases / sizeof main_cases[0]; i++)
        check_main_case(&main_cases[i]);
}

static void a_nul_ends_a_line_with_a_warning(void **state)
{
    (void)state;
    struct config *config = config_new_default();
    struct config_problems problems = {0};
    main_cf_parse("main.cf", SLICE("a = b\0 c\nd = e\n"), config, &problems);
    assert_string_equal(config_raw(config, "a"), "b");
    assert_string_equal(config_raw(config, "d"), "e");
    assert_int_equal(problems.count, 1);
    config_problems_free(&problems);
    config_free(config);
}

static struct service_table parse_master(const char *text, struct config_problems *problems)
{
    struct service_table table = {0};
    master_cf_parse("master.cf", slice_of(text), &table, problems);
    return table;
}

static void an_entry_has_eight_columns_and_arguments(void **state)
{
    (void)state;
    struct config_problems problems = {0};
    struct service_table table =
        parse_master("# x\n127.0.0.1:10025 inet n - y 60? 5 smtpd -v -o a=b\n"
                     "  -o { c = d e } -of=g\n  -vo h=$i\n  flags=R argv=/bin/x {y z} -o not=this\n",
                     &problems);
    assert_int_equal(problems.count, 0);
    assert_int_equal(table.count, 1);
    const struct service *s = &table.services[0];
    assert_string_equal(s->name, "127.0.0.1:10025");
    assert_int_equal(s->type, SERVICE_INET);
    assert_false(s->is_private);
    assert_true(s->is_unprivileged);
    assert_true(s->wants_chroot);
    assert_int_equal(s->wakeup_seconds, 60);
    assert_true(s->wakeup_only_if_used);
    assert_int_equal(s->process_limit, 5);
    assert_string_equal(s->command, "smtpd");
    assert_int_equal(s->where.line, 2);
    static const char *const settings[][2] = {{"a", "b"}, {"c", "d e"}, {"f", "g"}, {"h", "$i"}};
    assert_int_equal(s->override_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(s->override_names[i], settings[i][0]);
        assert_string_equal(s->override_values[i], settings[i][1]);
    }
    static const char *const arguments[] = {"-v", "-v", "flags=R", "argv=/bin/x", "y z", "-o", "not=this"};
    assert_int_equal(s->argument_count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(s->arguments[i], arguments[i]);
    assert_null(s->arguments[7]);
    service_table_free(&table);
}

static void dashes_are_defaults(void **state)
{
    (void)state;
    struct config_problems problems = {0};
    struct service_table table = parse_master("x unix - - - - - pipe", &problems);
    assert_int_equal(table.count, 1);
    assert_true(table.services[0].is_private);
    assert_true(table.services[0].is_unprivileged);
    assert_false(table.services[0].wants_chroot);
    assert_int_equal(table.services[0].wakeup_seconds, 0);
    assert_int_equal(table.services[0].process_limit, -1);
    service_table_free(&table);
}

/* Each of these lines is left out, and said to be wrong. */
static void bad_entries_are_problems(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "smtp inet n - y - -",
        "smtp tcp n - y - - smtpd",
        "smtp inet - - y - - smtpd",
        "smtp inet x - y - - smtpd",
        "smtp inet n maybe y - - smtpd",
        "smtp inet n - Y - - smtpd",
        "smtp inet n - y -1 - smtpd",
        "smtp inet n - y 60! - smtpd",
        "smtp inet n - y ? - smtpd",
        "smtp inet n - y - 99999999999 smtpd",
        "smtp inet n - y - - ../smtpd",
        "smtp inet n - y - - smtpd -o",
        "smtp inet n - y - - smtpd -o novalue",
        "smtp inet n - y - - smtpd -o {a = b",
        "smtp inet n - y - - smtpd -o {a = b}c",
        "smtp inet n - y - - smtpd x {y",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct config_problems problems = {0};
        struct service_table table = parse_master(lines[i], &problems);
        if (table.count != 0 || problems.count != 1 || !problems.list[0].fatal)
            fail_msg("%s: %zu services, %zu problems", lines[i], table.count, problems.count);
        service_table_free(&table);
        config_problems_free(&problems);
    }
}

static void the_last_entry_of_a_service_counts(void **state)
{
    (void)state;
    struct config_problems problems = {0};
    struct service_table table = parse_master("a unix - - - - 1 x\na unix - - - - 2 y\na fifo - - - - 3 z\n", &problems);
    assert_int_equal(table.count, 2);
    assert_string_equal(table.services[0].command, "y");
    assert_int_equal(problems.count, 1);
    service_table_free(&table);
    config_problems_free(&problems);
}

static void a_service_sees_its_overrides(void **state)
{
    (void)state;
    struct config_problems problems = {0};
    struct service_table table = parse_master("sub inet n - - - - smtpd -o smtpd_banner=$mine -o mine=x/$service_name", &problems);
    struct config *base = config_new_default();
    config_set(base, "mydomain", "base.example");
    struct config *config = service_config(&table.services[0], base);
    assert_string_equal(config_string(config, "smtpd_banner"), "x/sub");
    assert_string_equal(config_string(config, "mydomain"), "base.example");
    assert_string_equal(config_string_or_null(config, "mine"), "x/sub");
    assert_false(config_is_set(base, "mine"));
    config_free(config);
    config_free(base);
    service_table_free(&table);
}

/* A parameter, "-o" included, that does not do what is asked for is a warning with its place; a bad value is fatal. */
static void overrides_are_checked(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "master.cf, line 2: service smtp: parameter smtpd_milters is not supported yet (milters)",
        "master.cf, line 2: service smtp: unused parameter: smtpd_tymeout=1s",
        "master.cf, line 2: service smtp: parameter smtpd_timeout: bad time value or unit: soon",
    };
    struct config_problems problems = {0};
    struct service_table table = parse_master(
        "# first\nsmtp inet n - n - - smtpd\n -o smtpd_milters=inet:127.0.0.1:8891 -o smtpd_tymeout=1s -o smtpd_timeout=soon\n"
        " -o biff=no -o mine=x -o smtpd_banner=$mine\n"
        "10025 inet n - n - - smtpd -o smtpd_milters=\n"
        "local unix - n n - - local -o max_use=1\n", &problems);
    struct config *config = config_new_default();
    config_check_overrides(config, &table, &problems);
    assert_int_equal(problems.count, 3);
    for (size_t i = 0; i < problems.count; i++) {
        struct str text = STR_EMPTY;
        config_problem_describe(&problems.list[i], &text);
        assert_string_equal(str_text(&text), expected[i]);
        assert_int_equal(problems.list[i].fatal, i == 2);
        str_free(&text);
    }
    config_problems_free(&problems);
    config_free(config);
    service_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(main_cf_is_read),
        cmocka_unit_test(a_nul_ends_a_line_with_a_warning),
        cmocka_unit_test(an_entry_has_eight_columns_and_arguments),
        cmocka_unit_test(dashes_are_defaults),
        cmocka_unit_test(bad_entries_are_problems),
        cmocka_unit_test(the_last_entry_of_a_service_counts),
        cmocka_unit_test(a_service_sees_its_overrides),
        cmocka_unit_test(overrides_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
