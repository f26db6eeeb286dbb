check_PROGRAMS += tests/unit/role_dummy
tests_unit_role_dummy_SOURCES = tests/unit/role_dummy.c
tests_unit_role_dummy_LDADD = $(ROLE_LIBS)
