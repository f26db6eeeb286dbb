# Tables and the address resolver.
noinst_PROGRAMS += tests/tools/table_query
tests_tools_table_query_SOURCES = tests/tools/table_query.c
tests_tools_table_query_LDADD = $(RESOLVE_LIBS)
