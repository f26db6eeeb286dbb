# Limits, proxies, postscreen: what is around the SMTP dialogue.
SESSION_TESTS = tests/unit/test_transcript tests/unit/test_rate tests/unit/test_proxy_header tests/unit/test_postscreen
check_PROGRAMS += $(SESSION_TESTS)
TESTS += $(SESSION_TESTS)
tests_unit_test_rate_SOURCES = tests/unit/test_rate.c common/service/rate.c
tests_unit_test_rate_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_rate_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_transcript_SOURCES = tests/unit/test_transcript.c common/service/transcript.c
tests_unit_test_transcript_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_transcript_LDADD = libmail.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_proxy_header_SOURCES = tests/unit/test_proxy_header.c common/service/proxy_header.c
tests_unit_test_proxy_header_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_proxy_header_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_postscreen_SOURCES = tests/unit/test_postscreen.c common/service/postscreen_tests.c common/access/dnsxl.c
tests_unit_test_postscreen_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_postscreen_LDADD = libmail.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
