noinst_PROGRAMS += tests/bench/bench_queue
tests_bench_bench_queue_SOURCES = tests/bench/bench_queue.c tests/unit/queue_peers.c tests/unit/queue_peers.h
tests_bench_bench_queue_LDADD = libqueue.a libspool.a libcleanup.a libaddress.a libmail.a libstate.a libconfig.a libipc.a $(BASE_LIBS)
tests_bench_bench_queue_LDFLAGS = $(AM_LDFLAGS) -pthread
noinst_PROGRAMS += tests/bench/make_deferred
tests_bench_make_deferred_SOURCES = tests/bench/make_deferred.c
tests_bench_make_deferred_LDADD = libspool.a libmail.a libipc.a $(BASE_LIBS)
