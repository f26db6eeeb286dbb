check_PROGRAMS += tests/unit/test_fiber tests/unit/test_ipc
tests_unit_test_fiber_SOURCES = tests/unit/test_fiber.c
tests_unit_test_fiber_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fiber_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_ipc_SOURCES = tests/unit/test_ipc.c
tests_unit_test_ipc_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_ipc_LDADD = libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_fiber tests/unit/test_ipc
