# What smtpd and submission are made of.
noinst_LIBRARIES += libservice.a
libservice_a_SOURCES = \
	common/service/auth_client.c \
	common/service/cleanup.h \
	common/service/cleanup_settings.c \
	common/service/content_actions.c \
	common/service/content_addresses.c \
	common/service/content_checks.c \
	common/service/explain.c common/service/explain.h \
	common/service/limits.c common/service/limits.h \
	common/service/listener.c \
	common/service/login.c \
	common/service/login_limit.c common/service/login_limit.h \
	common/service/login_rate.c common/service/login_rate.h \
	common/service/notify.c \
	common/service/policy.c \
	common/service/policy_trace.c \
	common/service/postscreen.c common/service/postscreen.h \
	common/service/postscreen_dnsbl.c common/service/postscreen_internal.h \
	common/service/postscreen_settings.c common/service/postscreen_talk.c \
	common/service/postscreen_tests.c common/service/postscreen_tests.h \
	common/service/proxy_filter.c common/service/proxy_filter.h \
	common/service/proxy_header.c common/service/proxy_header.h \
	common/service/proxy_read.c common/service/proxy_read.h \
	common/service/queue_client.c \
	common/service/rate.c common/service/rate.h \
	common/service/service.h \
	common/service/service_main.c \
	common/service/tls.c \
	common/service/transcript.c common/service/transcript.h
libservice_a_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
SERVICE_LIBS = libservice.a libaccess.a libstate.a libsmtpserver.a libsmtpclient.a libsasl.a libcleanup.a libaddress.a $(TLS_LIBS) libdns.a libmail.a \
	$(ROLE_LIBS) $(OPENSSL_LIBS)
