SUBMISSION_TESTS = tests/unit/test_from_addresses
check_PROGRAMS += $(SUBMISSION_TESTS)
TESTS += $(SUBMISSION_TESTS)
tests_unit_test_from_addresses_SOURCES = tests/unit/test_from_addresses.c common/access/from_addresses.c
tests_unit_test_from_addresses_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_from_addresses_LDADD = libmail.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
