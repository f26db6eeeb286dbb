# Records between the resolver and its clients.
noinst_LIBRARIES += libdns.a
libdns_a_SOURCES = \
	common/dns/dns_protocol.c common/dns/dns_protocol.h \
	common/dns/dns_reverse.c common/dns/dns_reverse.h \
	common/dns/spf_protocol.c common/dns/spf_protocol.h \
	common/dns/spf_header.c common/dns/spf_header.h
