SESSION_FUZZERS = tests/fuzz/fuzz_xclient tests/fuzz/fuzz_proxy_header
noinst_PROGRAMS += $(SESSION_FUZZERS)
tests_fuzz_fuzz_xclient_SOURCES = tests/fuzz/fuzz_xclient.c
tests_fuzz_fuzz_xclient_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_xclient_LDADD = libsmtpserver.a libsasl.a libmail.a libipc.a $(BASE_LIBS)
tests_fuzz_fuzz_proxy_header_SOURCES = tests/fuzz/fuzz_proxy_header.c common/service/proxy_header.c
tests_fuzz_fuzz_proxy_header_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_proxy_header_LDADD = $(BASE_LIBS)
