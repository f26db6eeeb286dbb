POLICY_TESTS = tests/unit/test_policy_service
check_PROGRAMS += $(POLICY_TESTS)
TESTS += $(POLICY_TESTS)
tests_unit_test_policy_service_SOURCES = tests/unit/test_policy_service.c common/access/policy_reply.c
tests_unit_test_policy_service_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_policy_service_LDADD = libmail.a libconfig.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
