# A role that stands in for any other: tests/e2e/test_process.py runs the supervisor with it.
check_PROGRAMS += tests/unit/role_dummy
tests_unit_role_dummy_SOURCES = tests/unit/role_dummy.c
tests_unit_role_dummy_LDADD = $(ROLE_LIBS)

check_PROGRAMS += tests/unit/test_master tests/unit/test_role
tests_unit_test_master_SOURCES = tests/unit/test_master.c
tests_unit_test_master_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_master_LDADD = libmaster.a $(ROLE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_role_SOURCES = tests/unit/test_role.c
tests_unit_test_role_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_role_LDADD = $(ROLE_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_master tests/unit/test_role
