# TLS. libtlsfiles knows which certificates and keys there are and needs no OpenSSL; libtls is the server's side of it.
noinst_LIBRARIES += libtls.a libtlsfiles.a
libtlsfiles_a_SOURCES = common/tls/credentials.c common/tls/credentials.h common/tls/credential_builder.h common/tls/sni_tables.c
# Whether a service speaks TLS at all is a question of configuration.
libconfig_a_SOURCES += common/tls/level.c common/tls/level.h
libtls_a_SOURCES = \
	common/tls/context.c common/tls/context.h \
	common/tls/keys_client.c common/tls/keys_client.h \
	common/tls/keys_protocol.c common/tls/keys_protocol.h \
	common/tls/protocols.c common/tls/protocols.h \
	common/tls/remote_key.c common/tls/remote_key.h \
	common/tls/server.c common/tls/server.h \
	common/tls/server_names.c common/tls/server_names.h \
	common/tls/session.h \
	common/tls/settings.c common/tls/settings.h \
	common/tls/describe.c common/tls/describe.h \
	common/tls/ticket.c common/tls/ticket.h \
	common/tls/tls_peer.h
libtls_a_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
TLS_LIBS = libtls.a
