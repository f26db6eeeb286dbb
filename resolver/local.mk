# resolver: DNS. What reads replies is a library of its own, so that tests and fuzzers can link it.
noinst_LIBRARIES += libresolver.a
libresolver_a_SOURCES = \
	resolver/cache.c \
	resolver/dns_message.c \
	resolver/resolv_conf.c \
	resolver/resolver.h \
	resolver/spf_check.c resolver/spf_internal.h \
	resolver/spf_client.c \
	resolver/spf_macro.c \
	resolver/spf_record.c resolver/spf_record.h
daemon_PROGRAMS += resolver/resolver
resolver_resolver_SOURCES = resolver/peername.c resolver/query.c resolver/role.c
resolver_resolver_LDADD = libresolver.a libdns.a libmail.a $(ROLE_LIBS) $(CARES_LIBS) $(SPF_LIBS)
dist_man_MANS += man/resolver.8
