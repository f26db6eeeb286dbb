check_PROGRAMS += tests/unit/test_sasl
TESTS += tests/unit/test_sasl
tests_unit_test_sasl_SOURCES = tests/unit/test_sasl.c auth/dovecot_line.c auth/cyrus_config.c
tests_unit_test_sasl_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sasl_LDADD = libsasl.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
