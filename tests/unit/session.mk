# Limits, proxies, postscreen: what is around the SMTP dialogue.
SESSION_TESTS = tests/unit/test_rate
check_PROGRAMS += $(SESSION_TESTS)
TESTS += $(SESSION_TESTS)
tests_unit_test_rate_SOURCES = tests/unit/test_rate.c common/service/rate.c
tests_unit_test_rate_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_rate_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
