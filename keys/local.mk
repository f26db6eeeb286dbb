# keys: private keys. What reads files and signs is a library of its own, so that tests and fuzzers can link it.
noinst_LIBRARIES += libkeys.a
libkeys_a_SOURCES = keys/built_table.c keys/expiry.c keys/files.c keys/keys.h keys/pem.c keys/sign.c \
	keys/store.c keys/store.h keys/store_find.c
libkeys_a_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
daemon_PROGRAMS += keys/keys
keys_keys_SOURCES = keys/role.c
keys_keys_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
keys_keys_LDADD = libkeys.a $(TLS_LIBS) libtlsfiles.a libtable.a libaddress.a libmail.a $(ROLE_LIBS) $(OPENSSL_LIBS)
dist_man_MANS += man/keys.8
