SMTPD_FUZZERS = tests/fuzz/fuzz_address tests/fuzz/fuzz_command tests/fuzz/fuzz_data_reader tests/fuzz/fuzz_dsn \
	tests/fuzz/fuzz_header
noinst_PROGRAMS += $(SMTPD_FUZZERS)
tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz_address.c
tests_fuzz_fuzz_address_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_address_LDADD = libmail.a libipc.a $(BASE_LIBS)
tests_fuzz_fuzz_command_SOURCES = tests/fuzz/fuzz_command.c
tests_fuzz_fuzz_command_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_command_LDADD = libsmtpserver.a libsasl.a libmail.a libipc.a $(BASE_LIBS)
tests_fuzz_fuzz_data_reader_SOURCES = tests/fuzz/fuzz_data_reader.c
tests_fuzz_fuzz_data_reader_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_data_reader_LDADD = libsmtpserver.a libsasl.a $(BASE_LIBS)
tests_fuzz_fuzz_dsn_SOURCES = tests/fuzz/fuzz_dsn.c
tests_fuzz_fuzz_dsn_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_dsn_LDADD = libmail.a libipc.a $(BASE_LIBS)
tests_fuzz_fuzz_header_SOURCES = tests/fuzz/fuzz_header.c
tests_fuzz_fuzz_header_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_header_LDADD = libmail.a libipc.a $(BASE_LIBS)
