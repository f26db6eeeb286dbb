noinst_PROGRAMS += tests/fuzz/fuzz_sasl
tests_fuzz_fuzz_sasl_SOURCES = tests/fuzz/fuzz_sasl.c auth/dovecot_line.c auth/cyrus_config.c
tests_fuzz_fuzz_sasl_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_sasl_LDADD = libsasl.a libipc.a $(BASE_LIBS)
