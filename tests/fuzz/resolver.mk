noinst_PROGRAMS += tests/fuzz/fuzz_dns
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz_dns.c
tests_fuzz_fuzz_dns_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_dns_LDADD = libresolver.a libdns.a libmail.a libipc.a $(BASE_LIBS) $(CARES_LIBS)
noinst_PROGRAMS += tests/fuzz/fuzz_spf
tests_fuzz_fuzz_spf_SOURCES = tests/fuzz/fuzz_spf.c tests/unit/spf_zone.c tests/unit/spf_zone.h
tests_fuzz_fuzz_spf_LDFLAGS = $(LIBFUZZER_LINK)
tests_fuzz_fuzz_spf_LDADD = libresolver.a libdns.a libmail.a libipc.a $(BASE_LIBS) $(SPF_LIBS)
