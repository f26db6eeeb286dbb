check_PROGRAMS += tests/unit/test_fiber tests/unit/test_ipc tests/unit/test_log tests/unit/test_text
tests_unit_test_fiber_SOURCES = tests/unit/test_fiber.c
tests_unit_test_fiber_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fiber_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_ipc_SOURCES = tests/unit/test_ipc.c
tests_unit_test_ipc_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_ipc_LDADD = libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_log_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_text_SOURCES = tests/unit/test_text.c
tests_unit_test_text_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_text_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_fiber tests/unit/test_ipc tests/unit/test_log tests/unit/test_text

# A neighbour that stalls, asks without end, or sends what finds no place.
check_PROGRAMS += tests/unit/test_ipc_pressure
tests_unit_test_ipc_pressure_SOURCES = tests/unit/test_ipc_pressure.c
tests_unit_test_ipc_pressure_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_ipc_pressure_LDADD = libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_ipc_pressure
