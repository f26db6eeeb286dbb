# Tables and the address resolver.
noinst_PROGRAMS += tests/tools/table_query
tests_tools_table_query_SOURCES = tests/tools/table_query.c
tests_tools_table_query_LDADD = $(RESOLVE_LIBS)

TABLE_TESTS = tests/unit/test_databases tests/unit/test_pattern_literal tests/unit/test_patterns tests/unit/test_resolve tests/unit/test_sql_table tests/unit/test_table
check_PROGRAMS += $(TABLE_TESTS)
TESTS += $(TABLE_TESTS)
tests_unit_test_resolve_SOURCES = tests/unit/test_resolve.c tests/unit/resolve_cases.h
tests_unit_test_resolve_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_resolve_LDADD = $(RESOLVE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_table_SOURCES = tests/unit/test_table.c tests/unit/table_fixture.h
tests_unit_test_table_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_table_LDADD = $(TABLE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_sql_table_SOURCES = tests/unit/test_sql_table.c tests/unit/table_fixture.h
tests_unit_test_sql_table_CFLAGS = $(UNIT_CFLAGS) $(SQLITE_CFLAGS)
tests_unit_test_sql_table_LDADD = $(TABLE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_patterns_SOURCES = tests/unit/test_patterns.c tests/unit/table_fixture.h
tests_unit_test_patterns_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_patterns_LDADD = $(TABLE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_databases_SOURCES = tests/unit/test_databases.c
tests_unit_test_databases_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_databases_LDADD = $(TABLE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_pattern_literal_SOURCES = tests/unit/test_pattern_literal.c
tests_unit_test_pattern_literal_CFLAGS = $(UNIT_CFLAGS) $(PCRE_CFLAGS)
tests_unit_test_pattern_literal_LDADD = $(TABLE_LIBS) $(CMOCKA_LIBS)
