noinst_PROGRAMS += tests/fuzz/fuzz_state
tests_fuzz_fuzz_state_SOURCES = tests/fuzz/fuzz_state.c
tests_fuzz_fuzz_state_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_state_LDADD = libstatestore.a libstate.a libipc.a $(BASE_LIBS) $(LMDB_LIBS)
