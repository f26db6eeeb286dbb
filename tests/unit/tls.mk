# TLS: parsers, records, signatures.
check_PROGRAMS += tests/unit/test_tls
TESTS += tests/unit/test_tls
tests_unit_test_tls_SOURCES = tests/unit/test_tls.c
tests_unit_test_tls_CFLAGS = $(UNIT_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_test_tls_LDADD = libkeys.a libtls.a libtlsfiles.a libtable.a libaddress.a libmail.a $(ROLE_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_built_table
TESTS += tests/unit/test_built_table
tests_unit_test_built_table_SOURCES = tests/unit/test_built_table.c
tests_unit_test_built_table_CFLAGS = $(UNIT_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_test_built_table_LDADD = libkeys.a $(TABLE_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
