noinst_PROGRAMS += tests/fuzz/fuzz_mime tests/fuzz/fuzz_header_addresses
tests_fuzz_fuzz_mime_SOURCES = tests/fuzz/fuzz_mime.c
tests_fuzz_fuzz_mime_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_mime_LDADD = libcleanup.a libaddress.a libmail.a libipc.a $(BASE_LIBS)
tests_fuzz_fuzz_header_addresses_SOURCES = tests/fuzz/fuzz_header_addresses.c
tests_fuzz_fuzz_header_addresses_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_header_addresses_LDADD = libcleanup.a libaddress.a libmail.a libipc.a $(BASE_LIBS)
