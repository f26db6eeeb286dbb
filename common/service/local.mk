# What smtpd and submission are made of.
noinst_LIBRARIES += libservice.a
libservice_a_SOURCES = \
	common/service/auth_client.c \
	common/service/listener.c \
	common/service/login.c \
	common/service/policy.c \
	common/service/queue_client.c \
	common/service/service.h \
	common/service/service_main.c
SERVICE_LIBS = libservice.a libaccess.a libsmtpserver.a libsasl.a libdns.a libmail.a $(ROLE_LIBS)
