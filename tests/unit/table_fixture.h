/* SPDX-License-Identifier: ISC */
/* What test_table.c and test_sql_table.c share: a directory for tables, and one look-up with its answer as text. */
#ifndef TESTS_UNIT_TABLE_FIXTURE_H
#define TESTS_UNIT_TABLE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/table/table.h"

#define COUNT(table) (sizeof table / sizeof table[0])

static struct config *config;
static char directory[] = "/tmp/test_table.XXXXXX";

static char *path_of(const char *name)
{
    return mem_printf("%s/%s", directory, name);
}

static char *spec_of(const char *type, const char *name)
{
    return mem_printf("%s:%s/%s", type, directory, name);
}

static void write_file(const char *name, const char *text)
{
    char *path = path_of(name), *temporary = mem_printf("%s.new", path);
    FILE *file = fopen(temporary, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(temporary, path), 0);
    free(path);
    free(temporary);
}

static int set_up(void **state UNUSED)
{
    config = config_new_default();
    config_set(config, "inet_interfaces", "127.0.0.1");
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state UNUSED)
{
    char *command = mem_printf("rm -rf %s", directory);
    int status = system(command);
    free(command);
    config_free(config);
    return status;
}

/* "found: value", "not found" or "error". */
static void check_find(const char *spec, const char *key, const char *want)
{
    struct str value = STR_EMPTY, got = STR_EMPTY;
    struct table *table = table_open(spec, config, TABLE_FOLD_KEY);
    switch (table_find(table, slice_of(key), &value, CLOCK_NEVER)) {
    case TABLE_FOUND: str_printf(&got, "found: %s", str_text(&value)); break;
    case TABLE_NOT_FOUND: str_append(&got, "not found"); break;
    default: str_append(&got, "error");
    }
    if (strcmp(str_text(&got), want) != 0)
        fail_msg("%s, key %s: got %s, want %s", spec, key, str_text(&got), want);
    str_free(&value);
    str_free(&got);
    table_close(table);
}

#endif
