noinst_PROGRAMS += tests/fuzz/fuzz_keys
tests_fuzz_fuzz_keys_SOURCES = tests/fuzz/fuzz_keys.c
tests_fuzz_fuzz_keys_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_keys_LDADD = libkeys.a libtls.a libtlsfiles.a libtable.a libaddress.a libmail.a $(ROLE_LIBS) $(OPENSSL_LIBS)
