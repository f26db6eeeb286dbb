STATE_TESTS = tests/unit/test_state
check_PROGRAMS += $(STATE_TESTS)
TESTS += $(STATE_TESTS)
tests_unit_test_state_SOURCES = tests/unit/test_state.c
tests_unit_test_state_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_state_LDADD = libstatestore.a libstate.a libipc.a $(BASE_LIBS) $(LMDB_LIBS) $(CMOCKA_LIBS)
