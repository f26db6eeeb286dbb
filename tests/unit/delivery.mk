DELIVERY_TESTS = tests/unit/test_smtp_client tests/unit/test_delivery_report tests/unit/test_lmtp \
	tests/unit/test_virtual
check_PROGRAMS += $(DELIVERY_TESTS)
TESTS += $(DELIVERY_TESTS)
tests_unit_test_smtp_client_SOURCES = tests/unit/test_smtp_client.c
tests_unit_test_smtp_client_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_smtp_client_LDADD = libsmtpclient.a libmail.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_report_SOURCES = tests/unit/test_delivery_report.c
tests_unit_test_delivery_report_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_delivery_report_LDADD = libmail.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_lmtp_SOURCES = tests/unit/test_lmtp.c
tests_unit_test_lmtp_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_lmtp_LDADD = liblmtp.a libsmtpclient.a libmail.a libconfig.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_virtual_SOURCES = tests/unit/test_virtual.c
tests_unit_test_virtual_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_virtual_LDADD = libvirtual.a libmail.a libconfig.a libipc.a $(BASE_LIBS) $(CMOCKA_LIBS)
