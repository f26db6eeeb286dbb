POLICY_FUZZERS = tests/fuzz/fuzz_policy
noinst_PROGRAMS += $(POLICY_FUZZERS)
tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c common/access/policy_reply.c
tests_fuzz_fuzz_policy_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_policy_LDADD = libmail.a libconfig.a libipc.a $(BASE_LIBS)
