noinst_PROGRAMS += tests/bench/tls_client
tests_bench_tls_client_SOURCES = tests/bench/tls_client.c
tests_bench_tls_client_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
tests_bench_tls_client_LDADD = $(OPENSSL_LIBS)
