noinst_PROGRAMS += tests/fuzz/fuzz_spool
tests_fuzz_fuzz_spool_SOURCES = tests/fuzz/fuzz_spool.c
tests_fuzz_fuzz_spool_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_spool_LDADD = libspool.a libmail.a libipc.a $(BASE_LIBS)
