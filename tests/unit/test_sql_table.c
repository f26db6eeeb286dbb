/* SPDX-License-Identifier: ISC */
/* SQL tables: their templates, and sqlite: against a real file. PostgreSQL: tests/e2e/test_pgsql.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/table/db_config.h"
#include "tests/unit/table_fixture.h"

/* --- SQL templates ------------------------------------------------------------------------------ */

static bool quote_in_brackets(void *context UNUSED, struct slice text, struct str *out)
{
    str_printf(out, "<%.*s>", SLICE_ARGS(text));
    return memchr(text.data != NULL ? text.data : "", '!', text.len) == NULL;
}

static void expands_queries(void **state UNUSED)
{
    static const struct {
        const char *template, *key, *want; /* NULL: skipped; "!": cannot be quoted */
    } cases[] = {
        {"a='%s'", "u@d.example", "a='<u@d.example>'"},
        {"a='%u' b='%d'", "u@d.example", "a='<u>' b='<d.example>'"},
        {"%S %U %D", "u@d.example", "<u@d.example> <u> <d.example>"},
        {"%1 %2 %3", "u@mail.example.com", "<com> <example> <mail>"},
        {"%1 %2 %3 %4", "u@mail.example.com", NULL},
        {"%d", "plain", NULL},
        {"%u", "plain", "<plain>"},
        {"%u", "@d.example", NULL},
        {"%d", "@d.example", "<d.example>"},
        {"%d", "u@", NULL},
        {"%u@%d", "a@b@c", "<a@b>@<c>"},
        {"100%% '%s'", "x", "100% '<x>'"},
        {"%s%", "x", "<x>%"},
        {"no key", "x", "no key"},
        {"%s", "", NULL},
        {"'%s'", "a!b", "!"},
        {"%1", "u@...", NULL},
        {"%2", "u@.a..b.", "<a>"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str out = STR_EMPTY;
        enum db_expansion got =
            db_expand_query(cases[i].template, db_template_needs(cases[i].template, false), slice_of(cases[i].key),
                             quote_in_brackets, NULL, &out);
        const char *text = got == DB_SKIPPED ? NULL : got == DB_UNQUOTABLE ? "!" : str_text(&out);
        if ((text == NULL) != (cases[i].want == NULL) || (text != NULL && strcmp(text, cases[i].want) != 0))
            fail_msg("%s with %s: got %s", cases[i].template, cases[i].key, text != NULL ? text : "skipped");
        str_free(&out);
    }
}

static void expands_results(void **state UNUSED)
{
    static const struct {
        const char *template, *value, *key, *want;
    } cases[] = {
        {"%s", "v", "k", "v"},           {"smtp:[%s]", "h", "k", "smtp:[h]"}, {"%u", "a@b", "k", "a"},
        {"%d", "a@b", "k", "b"},         {"%d", "a", "k", NULL},              {"%u", "@b", "k", NULL},
        {"%s", "", "k", NULL},           {"%S/%U/%D", "v", "u@d", "u@d/u/d"}, {"%D", "v", "u", NULL},
        {"%1", "v", "u@a.b", "b"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str out = STR_EMPTY;
        bool ok = db_expand_result(cases[i].template, db_template_needs(cases[i].template, true),
                                    slice_of(cases[i].value), slice_of(cases[i].key), &out) == DB_EXPANDED;
        if (ok != (cases[i].want != NULL) || (ok && strcmp(str_text(&out), cases[i].want) != 0))
            fail_msg("%s with %s, %s: got %s", cases[i].template, cases[i].value, cases[i].key, str_text(&out));
        str_free(&out);
    }
}

/* --- sqlite: -------------------------------------------------------------------------------------- */

static void make_database(void)
{
    sqlite3 *db;
    char *path = path_of("mail.sqlite");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TABLE box (address TEXT, target TEXT, active INTEGER);"
                                  "INSERT INTO box VALUES ('anna@x.example', 'maildir/', 1), ('two@x.example', 'a@x', 1),"
                                  " ('two@x.example', 'b@x', 1), ('it''s@x.example', 'quoted', 1),"
                                  " ('null@x.example', NULL, 1), ('empty@x.example', '', 1), ('off@x.example', 'y', 0);",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    free(path);
}

static void asks_sqlite(void **state UNUSED)
{
    /* Bound, quoted among other text, and the older parameters. */
    static const char *const bodies[] = {
        "query = SELECT target FROM box WHERE address = '%s' AND active = 1\n",
        "query = SELECT target FROM box WHERE address = '%u@%d' AND active = 1\n",
        "select_field = target\ntable = box\nwhere_field = address\nadditional_conditions = AND active = 1\n",
    };
    static const struct {
        const char *key, *want;
    } cases[] = {
        {"anna@x.example", "found: maildir/"},      {"Anna@X.example", "found: maildir/"},
        {"two@x.example", "found: a@x,b@x"},        {"it's@x.example", "found: quoted"},
        {"null@x.example", "not found"},            {"empty@x.example", "not found"},
        {"off@x.example", "not found"},             {"' OR 'a' = 'a@x.example", "not found"},
        {"x'; DROP TABLE box; --@x.example", "not found"}, {"%@x.example", "not found"},
        {"a%s@x.example", "not found"},
    };
    make_database();
    for (size_t b = 0; b < COUNT(bodies); b++) {
        char *text = mem_printf("dbpath = %s/mail.sqlite\n%s", directory, bodies[b]);
        char *name = mem_printf("sqlite%zu.cf", b), *spec = spec_of("sqlite", name);
        write_file(name, text);
        for (size_t i = 0; i < COUNT(cases); i++)
            check_find(spec, cases[i].key, cases[i].want);
        free(text);
        free(name);
        free(spec);
    }
}

static void sqlite_has_limits_and_domains(void **state UNUSED)
{
    static const struct {
        const char *body, *key, *want;
    } cases[] = {
        {"query = SELECT target FROM box WHERE address = '%s'\nexpansion_limit = 1\n", "two@x.example", "error"},
        {"query = SELECT target FROM box WHERE address = '%s'\nexpansion_limit = 2\n", "two@x.example", "found: a@x,b@x"},
        {"query = SELECT target FROM box WHERE address = '%s'\nresult_format = x:%s\n", "two@x.example", "found: x:a@x,x:b@x"},
        {"query = SELECT target FROM box WHERE address = '%s'\ndomain = y.example\n", "anna@x.example", "not found"},
        {"query = SELECT target FROM box WHERE address = '%s'\ndomain = x.example\n", "anna@x.example", "found: maildir/"},
        {"query = SELECT 1\ndomain = x.example\n", "x.example", "not found"},
        {"query = SELECT nothing FROM nowhere WHERE a = '%s'\n", "anna@x.example", "error"},
        {"query = SELECT target FROM box WHERE address = '%s'\nexpansion_limit = many\n", "anna@x.example", "error"},
        {"nothing = at all\n", "anna@x.example", "error"},
        {"no equals sign\n", "anna@x.example", "error"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = mem_printf("dbpath = %s/mail.sqlite\n%s", directory, cases[i].body);
        char *name = mem_printf("limit%zu.cf", i), *spec = spec_of("sqlite", name);
        write_file(name, text);
        check_find(spec, cases[i].key, cases[i].want);
        free(text);
        free(name);
        free(spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expands_queries),
        cmocka_unit_test(expands_results),
        cmocka_unit_test(asks_sqlite),
        cmocka_unit_test(sqlite_has_limits_and_domains),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
