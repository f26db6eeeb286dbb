check_PROGRAMS += tests/unit/test_content
TESTS += tests/unit/test_content
tests_unit_test_content_SOURCES = tests/unit/test_content.c
tests_unit_test_content_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_content_LDADD = libcleanup.a libaddress.a libmail.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
