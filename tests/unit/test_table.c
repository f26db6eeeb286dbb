/* SPDX-License-Identifier: ISC */
/* Table types, their source texts, and how they notice changes. SQL: test_sql_table.c and tests/e2e/test_pgsql.py. */
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/mem.h"
#include "common/table/maps.h"
#include "common/table/match_list.h"
#include "common/table/rhs_file.h"
#include "common/table/table_build.h"
#include "common/table/utf8.h"
#include "tests/unit/table_fixture.h"

/* --- source texts ------------------------------------------------------------------------- */

struct source_case {
    enum source_format format;
    const char *text;
    const char *entries;  /* key=value; ... */
    const char *warnings; /* one a line */
};

static void collect_warning(void *context, const char *text)
{
    str_printf(context, "%s\n", text);
}

static void check_source(const struct source_case *want)
{
    struct text_source source;
    struct text_entry entry;
    struct str entries = STR_EMPTY, warnings = STR_EMPTY;
    text_source_open(&source, "f", want->format, slice_of(want->text));
    source.warn = collect_warning;
    source.context = &warnings;
    source.only_utf8 = true;
    while (text_source_next(&source, &entry))
        str_printf(&entries, "%.*s=%.*s;", SLICE_ARGS(entry.key), SLICE_ARGS(entry.value));
    text_source_close(&source);
    if (strcmp(str_text(&entries), want->entries) != 0 || strcmp(str_text(&warnings), want->warnings) != 0)
        fail_msg("source:\n%s\ngot: %s\n%s", want->text, str_text(&entries), str_text(&warnings));
    str_free(&entries);
    str_free(&warnings);
}

static void reads_source_texts(void **state UNUSED)
{
    static const struct source_case cases[] = {
        {SOURCE_MAP, "a 1\n  more\n#c\nb  2 \n", "a=1  more;b=2;", ""},
        {SOURCE_MAP, "a\t1\n\n\n   \n#\n\tgoes on\nb 2", "a=1\tgoes on;b=2;", ""},
        {SOURCE_MAP, "\"q r\" x\n x\\ y z\n", "\"q r\"=x x\\ y z;", ""},
        {SOURCE_MAP, "x\\ y z\n", "x\\ y=z;", ""},
        {SOURCE_MAP, "\"bad x\n", "", "f, line 1: unbalanced '\"' in '\"bad x' -- ignoring this line\n"},
        {SOURCE_MAP, "\nnoval\nok 1", "ok=1;", "f, line 2: expected format: key whitespace value\n"},
        {SOURCE_MAP, "k: v\n", "k:=v;", "f, line 1: record is in \"key: value\" format; is this an alias file?\n"},
        {SOURCE_MAP, "k \xff\nok 1\n", "ok=1;", "f, line 1: non-UTF-8 input \"k \xff\" -- ignoring this line\n"},
        {SOURCE_MAP, " x y\nok 1\n", "ok=1;", "f, line 1: logical line must not start with whitespace: \"x y\"\n"},
        {SOURCE_MAP, "", "", ""},
        {SOURCE_ALIASES, "root: anna, \"|/usr/bin/x -y\",bob@x.y\n", "root=anna, \"|/usr/bin/x -y\", bob@x.y;", ""},
        {SOURCE_ALIASES, "\"a b\": c\nPostmaster:root  ,   more\n", "a b=c;Postmaster=root, more;", ""},
        {SOURCE_ALIASES, "q: :include:/x/y\nz: /dev/null\n", "q=:include:/x/y;z=/dev/null;", ""},
        {SOURCE_ALIASES, "x@y: z\nd%e: k\n", "", "f, line 1: name must be local\nf, line 2: name must be local\n"},
        {SOURCE_ALIASES, "foo bar\n: x\ny:\na, b: c\n", "",
         "f, line 1: need name:value pair\nf, line 2: need name:value pair\nf, line 3: need name:value pair\n"
         "f, line 4: need name:value pair\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_source(&cases[i]);
}

static void tells_utf8(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},          {"abc", true},          {"\xc3\xa9", true},         {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true}, {"\xc3", false}, {"\xa9", false},            {"\xc0\xaf", false},
        {"\xe0\x80\xaf", false},    {"\xed\xa0\x80", false}, {"\xf4\x90\x80\x80", false}, {"\xff", false},
        {"\xe2\x82", false}, {"a\xc3\x27", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(utf8_is_valid(slice_of(cases[i].text)), cases[i].valid);
}

/* --- small types ---------------------------------------------------------------------------- */

static void finds_in_small_tables(void **state UNUSED)
{
    static const struct {
        const char *spec, *key, *want;
    } cases[] = {
        {"inline:{a=b, {c = d e}}", "a", "found: b"},
        {"inline:{a=b, {c = d e}}", "C", "found: d e"},
        {"inline:{a=b}", "x", "not found"},
        {"inline:{ {\"q r\"@x = y} }", "\"q r\"@x", "found: y"},
        {"inline:{k=REJECT text}", "k", "error"},
        {"inline:{}", "a", "error"},
        {"inline:a=b", "a", "error"},
        {"proxy:inline:{a=b}", "a", "found: b"},
        {"static:x", "anything", "found: x"},
        {"static:{ two words }", "anything", "found: two words"},
        {"static:{a}b", "x", "error"},
        {"fail:x", "a", "error"},
        {"environ:x", "no_such_variable", "not found"},
        {"unix:passwd.byname", "no-such-user-here", "not found"},
        {"unix:group.byname", "no-such-group-here", "not found"},
        {"unix:other", "root", "error"},
        {"unionmap:{static:one, inline:{a=two}}", "a", "found: one,two"},
        {"unionmap:{static:one, inline:{a=two}}", "b", "found: one"},
        {"unionmap:{inline:{a=two}, inline:{b=three}}", "c", "not found"},
        {"unionmap:{static:one, fail:x}", "a", "error"},
        {"unionmap:{nothing}", "a", "error"},
        {"pipemap:{inline:{a=b}, inline:{b=c}}", "a", "found: c"},
        {"pipemap:{inline:{a=b}, inline:{x=c}}", "a", "not found"},
        {"pipemap:{fail:x, inline:{x=c}}", "a", "error"},
        {"mysql:/etc/x.cf", "a", "error"},
        {"no-colon", "a", "error"},
        {"texthash:/no/such/file", "a", "error"},
        {"hash:/no/such/file", "a", "error"},
        {"pgsql:/no/such/file.cf", "a", "error"},
        {"sqlite:/no/such/file.cf", "a", "error"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_find(cases[i].spec, cases[i].key, cases[i].want);
    const struct passwd *root = getpwnam("root");
    assert_non_null(root);
    char *entry = mem_printf("found: root:%s:0:%ld:%s:%s:%s", root->pw_passwd, (long)root->pw_gid, root->pw_gecos,
                             root->pw_dir, root->pw_shell);
    check_find("unix:passwd.byname", "root", entry);
    free(entry);
}

static void lists_stop_at_the_first_error(void **state UNUSED)
{
    static const struct {
        const char *maps, *key;
        enum table_status want;
        const char *which;
    } cases[] = {
        {"inline:{a=1}, static:2", "a", TABLE_FOUND, "inline:{a=1}"},
        {"inline:{a=1} static:2", "b", TABLE_FOUND, "static:2"},
        {"inline:{a=1}, fail:x, static:2", "b", TABLE_ERROR, "fail:x"},
        {"inline:{a=1}, fail:x", "a", TABLE_FOUND, "inline:{a=1}"},
        {"inline:{a=}", "a", TABLE_ERROR, "inline:{a=}"},
        {"", "a", TABLE_NOT_FOUND, ""},
        {"static:x", "", TABLE_NOT_FOUND, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str value = STR_EMPTY;
        const char *which;
        struct maps *maps = maps_open("test_maps", cases[i].maps, config, TABLE_FOLD_KEY);
        assert_int_equal(maps_find(maps, slice_of(cases[i].key), false, &value, &which, CLOCK_NEVER), cases[i].want);
        assert_string_equal(which, cases[i].which);
        maps_close(maps);
        str_free(&value);
    }
}

static void match_lists(void **state UNUSED)
{
    write_file("domains", "file.example\n# no.example\n  more.example, !not.example\n");
    char *file = mem_printf("%s/domains, last.example", directory);
    char *negated = mem_printf("!%s/domains, static:x", directory);
    const struct {
        const char *list;
        enum match_style style;
        const char *name;
        enum match_status want;
    } cases[] = {
        {"a.example, b.example", MATCH_STRING, "B.Example", MATCH_YES},
        {"a.example", MATCH_STRING, "x.a.example", MATCH_NO},
        {"!a.example, static:x", MATCH_STRING, "a.example", MATCH_NO},
        {"!a.example, static:x", MATCH_STRING, "b.example", MATCH_YES},
        {"!!a.example", MATCH_STRING, "a.example", MATCH_YES},
        {".a.example", MATCH_DOMAIN, "x.a.example", MATCH_YES},
        {".a.example", MATCH_DOMAIN, "a.example", MATCH_NO},
        {"a.example", MATCH_DOMAIN, "x.a.example", MATCH_NO},
        {"a.example", MATCH_DOMAIN_PARENTS, "x.a.example", MATCH_YES},
        {"a.example", MATCH_DOMAIN_PARENTS, "xa.example", MATCH_NO},
        {"inline:{a.example=1}", MATCH_STRING, "x.a.example", MATCH_NO},
        {"inline:{a.example=1}", MATCH_DOMAIN_PARENTS, "y.x.a.example", MATCH_YES},
        {"inline:{.a.example=1}", MATCH_DOMAIN, "y.x.a.example", MATCH_YES},
        {"inline:{.a.example=1}", MATCH_DOMAIN_PARENTS, "y.a.example", MATCH_NO},
        {"b.example, fail:x, a.example", MATCH_STRING, "a.example", MATCH_ERROR},
        {"a.example, fail:x", MATCH_STRING, "a.example", MATCH_YES},
        {"/no/such/file, a.example", MATCH_STRING, "a.example", MATCH_ERROR},
        {"[2001:db8::1], a.example", MATCH_STRING, "[2001:db8::1]", MATCH_YES},
        {"", MATCH_STRING, "a", MATCH_NO},
        {file, MATCH_STRING, "more.example", MATCH_YES},
        {file, MATCH_STRING, "last.example", MATCH_YES},
        {file, MATCH_STRING, "no.example", MATCH_NO},
        {file, MATCH_STRING, "not.example", MATCH_NO},
        {negated, MATCH_STRING, "file.example", MATCH_NO},
        {negated, MATCH_STRING, "other.example", MATCH_YES},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct match_list *list = match_list_open("test_list", cases[i].list, cases[i].style, config);
        enum match_status got = match_list_find(list, slice_of(cases[i].name), CLOCK_NEVER);
        if (got != cases[i].want)
            fail_msg("%s in \"%s\": %d", cases[i].name, cases[i].list, got);
        match_list_close(list);
    }
    free(file);
    free(negated);
}

static void wait_for_next_check(void)
{
    assert_int_equal(fiber_sleep_until(deadline_in_ms(1050)), WAIT_OK);
}

static void a_changed_list_file_is_read_again(void **state UNUSED)
{
    write_file("list", "one.example\n");
    char *text = path_of("list");
    struct match_list *list = match_list_open("test_list", text, MATCH_STRING, config);
    assert_int_equal(match_list_find(list, SLICE("two.example"), CLOCK_NEVER), MATCH_NO);
    write_file("list", "two.example two.example\n");
    wait_for_next_check();
    assert_int_equal(match_list_find(list, SLICE("two.example"), CLOCK_NEVER), MATCH_YES);
    assert_int_equal(unlink(text), 0);
    wait_for_next_check();
    assert_int_equal(match_list_find(list, SLICE("two.example"), CLOCK_NEVER), MATCH_YES);
    match_list_close(list);
    free(text);
}

/* --- hash: ------------------------------------------------------------------------------------ */

static bool exists(const char *name)
{
    char *path = path_of(name);
    bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static void hash_is_made_from_its_text(void **state UNUSED)
{
    char *spec = spec_of("hash", "made");
    write_file("made", "Key value one\nother 2\n");
    struct table *table = table_open(spec, config, TABLE_FOLD_KEY);
    assert_true(exists("made.lmdb"));
    check_find(spec, "kEY", "found: value one");
    check_find(spec, "missing", "not found");
    write_file("made", "key value two, changed\n");
    check_find(spec, "other", "found: 2"); /* looked at once a second only */
    wait_for_next_check();
    check_find(spec, "key", "found: value two, changed");
    check_find(spec, "other", "not found");
    char *text = path_of("made"), *built = path_of("made.lmdb");
    assert_int_equal(unlink(text), 0);
    wait_for_next_check();
    check_find(spec, "key", "found: value two, changed");
    assert_int_equal(unlink(built), 0);
    wait_for_next_check();
    check_find(spec, "key", "found: value two, changed"); /* what it had is better than nothing */
    table_close(table);
    free(text);
    free(built);
    free(spec);
}

static void hash_works_without_its_file(void **state UNUSED)
{
    char *spec = spec_of("hash", "locked/table"), *folder = path_of("locked");
    assert_int_equal(mkdir(folder, 0755), 0);
    char *built = path_of("locked/table.lmdb");
    assert_int_equal(mkdir(built, 0755), 0); /* in the way: the rename cannot succeed, even for root */
    write_file("locked/table", "key value\nkey second\n");
    check_find(spec, "key", "found: value");
    check_find(spec, "other", "not found");
    free(spec);
    free(folder);
    free(built);
}

static bool next_entry(void *context, struct slice *key, struct slice *value)
{
    unsigned *left = context;
    static char text[32];
    if (*left == 0)
        return false;
    snprintf(text, sizeof text, "key%u", --*left);
    *key = slice_of(text);
    *value = SLICE("value");
    return true;
}

static void holds_what_was_put(const struct indexed_format *format)
{
    char *path = path_of("many.lmdb"), *error = NULL;
    for (int with_nul = 0; with_nul < 2; with_nul++) {
        unsigned left = 10000;
        struct indexed_build build = {.path = path, .mode = 0640, .owner = (uid_t)-1, .include_nul = with_nul,
                                   .next = next_entry, .context = &left};
        assert_true(indexed_file_build(format, &build, &error));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        void *file = format->open(path, &error);
        assert_non_null(file);
        struct slice value;
        const char *why;
        assert_int_equal(format->find(file, SLICE("key9999"), &value, &why), INDEXED_FOUND);
        assert_true(slice_equal(value, SLICE("value")));
        assert_int_equal(format->find(file, SLICE("key10000"), &value, &why), INDEXED_NOT_FOUND);
        assert_int_equal(format->find(file, SLICE(""), &value, &why), INDEXED_NOT_FOUND);
        char long_key[3000];
        memset(long_key, 'x', sizeof long_key);
        assert_int_equal(format->find(file, slice_range(long_key, sizeof long_key), &value, &why), INDEXED_NOT_FOUND);
        format->close(file);
    }
    free(path);
}

static void indexed_files_hold_what_was_put(void **state UNUSED)
{
    holds_what_was_put(&indexed_lmdb);
#ifdef HAVE_CDB
    holds_what_was_put(&indexed_cdb);
#endif
}

/* Attack 19: a link planted where the new file will go must not be followed. */
static void building_follows_no_link(void **state UNUSED)
{
    char *victim = path_of("victim"), *link = path_of("linked.lmdb"), *source = path_of("linked"), *error = NULL;
    write_file("victim", "precious\n");
    write_file("linked", "key value\n");
    assert_int_equal(symlink(victim, link), 0);
    struct text_map *map = text_map_new();
    text_map_add(map, SLICE("key"), SLICE("value"), false);
    struct table_build build = {.format = &indexed_lmdb, .source = source, .map = map};
    assert_true(table_build_write(&build, &error));
    struct stat st;
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    char text[16] = "";
    FILE *file = fopen(victim, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "precious\n");
    text_map_free(map);
    free(victim);
    free(link);
    free(source);
}

static void texthash_follows_its_file(void **state UNUSED)
{
    char *spec = spec_of("texthash", "text");
    write_file("text", "a 1\n");
    struct table *table = table_open(spec, config, TABLE_FOLD_KEY);
    check_find(spec, "A", "found: 1");
    write_file("text", "a 22\n");
    wait_for_next_check();
    check_find(spec, "a", "found: 22");
    table_close(table);
    free(spec);
}

static void a_table_that_comes_later_is_found(void **state UNUSED)
{
    char *spec = spec_of("texthash", "later");
    struct table *table = table_open(spec, config, TABLE_FOLD_KEY);
    check_find(spec, "a", "error");
    write_file("later", "a 1\n");
    wait_for_next_check();
    check_find(spec, "a", "found: 1");
    table_close(table);
    free(spec);
}

static void values_may_be_files(void **state UNUSED)
{
    char *spec = spec_of("texthash", "files");
    char *line = mem_printf("k %s/one, %s/two\nmissing %s/none\n", directory, directory, directory);
    struct str value = STR_EMPTY;
    write_file("one", "one\n");
    write_file("two", "two");
    write_file("files", line);
    struct table *table = table_open(spec, config, TABLE_FOLD_KEY | TABLE_SRC_RHS_IS_FILE);
    assert_int_equal(table_find(table, SLICE("k"), &value, CLOCK_NEVER), TABLE_FOUND);
    assert_string_equal(str_text(&value), "one\n\ntwo");
    assert_int_equal(table_find(table, SLICE("missing"), &value, CLOCK_NEVER), TABLE_NOT_FOUND);
    table_close(table);
    str_free(&value);
    free(line);
    free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_source_texts),
        cmocka_unit_test(tells_utf8),
        cmocka_unit_test(finds_in_small_tables),
        cmocka_unit_test(lists_stop_at_the_first_error),
        cmocka_unit_test(match_lists),
        cmocka_unit_test(a_changed_list_file_is_read_again),
        cmocka_unit_test(hash_is_made_from_its_text),
        cmocka_unit_test(hash_works_without_its_file),
        cmocka_unit_test(indexed_files_hold_what_was_put),
        cmocka_unit_test(building_follows_no_link),
        cmocka_unit_test(texthash_follows_its_file),
        cmocka_unit_test(a_table_that_comes_later_is_found),
        cmocka_unit_test(values_may_be_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
