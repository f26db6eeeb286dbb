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

# One real role among neighbours who lie: tests/e2e/test_forged_records.py runs it.
noinst_PROGRAMS += tests/tools/forge
tests_tools_forge_SOURCES = tests/tools/forge.c tests/tools/forge.h tests/tools/forge_ask.c tests/tools/forge_answer.c master/graph.c
tests_tools_forge_LDADD = libtls.a libdns.a libstate.a libsasl.a libmail.a $(ROLE_LIBS) $(OPENSSL_LIBS)
