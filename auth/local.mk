# auth: who may log in. The role's objects are a library of their own, so that tests can link them.
noinst_LIBRARIES += libauth.a
libauth_a_SOURCES = \
	auth/auth.h \
	auth/backend.c \
	auth/dovecot.c \
	auth/dovecot_line.c auth/dovecot_line.h \
	auth/exchange.c \
	auth/role.c
if WITH_CYRUS_SASL
libauth_a_SOURCES += \
	auth/cyrus.h \
	auth/cyrus_config.c \
	auth/cyrus_pool.c \
	auth/cyrus_setup.c \
	auth/cyrus_spawner.c \
	auth/cyrus_worker.c
else
libauth_a_SOURCES += auth/cyrus_none.c
endif
libauth_a_CFLAGS = $(AM_CFLAGS) $(CYRUS_CFLAGS) $(OPENSSL_CFLAGS)
daemon_PROGRAMS += auth/auth
auth_auth_SOURCES = auth/main.c
auth_auth_LDADD = libauth.a libsasl.a libmail.a $(ROLE_LIBS) $(CYRUS_LIBS) -lcrypto
dist_man_MANS += man/auth.8
