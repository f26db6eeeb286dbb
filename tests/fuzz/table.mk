noinst_PROGRAMS += tests/fuzz/fuzz_table_source tests/fuzz/fuzz_sql tests/fuzz/fuzz_resolve tests/fuzz/fuzz_patterns
tests_fuzz_fuzz_table_source_SOURCES = tests/fuzz/fuzz_table_source.c
tests_fuzz_fuzz_table_source_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_table_source_LDADD = $(TABLE_LIBS)
tests_fuzz_fuzz_sql_SOURCES = tests/fuzz/fuzz_sql.c
tests_fuzz_fuzz_sql_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_sql_LDADD = $(TABLE_LIBS)
tests_fuzz_fuzz_resolve_SOURCES = tests/fuzz/fuzz_resolve.c
tests_fuzz_fuzz_resolve_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_resolve_LDADD = $(RESOLVE_LIBS)
tests_fuzz_fuzz_patterns_SOURCES = tests/fuzz/fuzz_patterns.c
tests_fuzz_fuzz_patterns_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_patterns_LDADD = $(TABLE_LIBS)
noinst_PROGRAMS += tests/fuzz/fuzz_ldap_quote
tests_fuzz_fuzz_ldap_quote_SOURCES = tests/fuzz/fuzz_ldap_quote.c
tests_fuzz_fuzz_ldap_quote_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_ldap_quote_LDADD = $(TABLE_LIBS)
if WITH_CDB
noinst_PROGRAMS += tests/fuzz/fuzz_cdb
tests_fuzz_fuzz_cdb_SOURCES = tests/fuzz/fuzz_cdb.c
tests_fuzz_fuzz_cdb_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_cdb_LDADD = $(TABLE_LIBS)
endif
