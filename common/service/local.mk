# What smtpd and submission are made of.
noinst_LIBRARIES += libservice.a
libservice_a_SOURCES = \
	common/service/listener.c \
	common/service/policy.c \
	common/service/queue_client.c \
	common/service/service.h \
	common/service/service_main.c \
	common/service/tls.c
libservice_a_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
SERVICE_LIBS = libservice.a libaccess.a libsmtpserver.a $(TLS_LIBS) libtable.a libdns.a libmail.a $(ROLE_LIBS) $(OPENSSL_LIBS)
