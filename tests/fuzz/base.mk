noinst_PROGRAMS += tests/fuzz/fuzz_records tests/fuzz/fuzz_ipc
tests_fuzz_fuzz_records_SOURCES = tests/fuzz/fuzz_records.c
tests_fuzz_fuzz_records_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_records_LDADD = libmail.a libipc.a $(BASE_LIBS)
tests_fuzz_fuzz_ipc_SOURCES = tests/fuzz/fuzz_ipc.c
tests_fuzz_fuzz_ipc_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_ipc_LDADD = libipc.a $(BASE_LIBS)
