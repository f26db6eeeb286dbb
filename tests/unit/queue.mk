QUEUE_TEST_LIBS = libqueue.a libspool.a libmail.a libconfig.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_spool_crash
tests_unit_test_spool_crash_SOURCES = tests/unit/test_spool_crash.c tests/unit/disk_model.c tests/unit/disk_model.h \
	tests/unit/queue_peers.c tests/unit/queue_peers.h
tests_unit_test_spool_crash_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spool_crash_LDADD = $(QUEUE_TEST_LIBS)
tests_unit_test_spool_crash_LDFLAGS = $(AM_LDFLAGS) -pthread
TESTS += tests/unit/test_spool_crash
check_PROGRAMS += tests/unit/test_queue
tests_unit_test_queue_SOURCES = tests/unit/test_queue.c tests/unit/queue_peers.c tests/unit/queue_peers.h
tests_unit_test_queue_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_queue_LDADD = $(QUEUE_TEST_LIBS)
tests_unit_test_queue_LDFLAGS = $(AM_LDFLAGS) -pthread
TESTS += tests/unit/test_queue
