noinst_PROGRAMS += tests/fuzz/fuzz_start
tests_fuzz_fuzz_start_SOURCES = tests/fuzz/fuzz_start.c
tests_fuzz_fuzz_start_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_start_LDADD = libmaster.a $(ROLE_LIBS)
