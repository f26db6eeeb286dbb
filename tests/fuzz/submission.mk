noinst_PROGRAMS += tests/fuzz/fuzz_from_addresses
tests_fuzz_fuzz_from_addresses_SOURCES = tests/fuzz/fuzz_from_addresses.c common/access/from_addresses.c
tests_fuzz_fuzz_from_addresses_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_from_addresses_LDADD = libmail.a libaddress.a libipc.a $(BASE_LIBS)
