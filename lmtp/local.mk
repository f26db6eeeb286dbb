# lmtp: delivery over LMTP. The role's objects are a library of their own, so that tests can link them.
noinst_LIBRARIES += liblmtp.a
liblmtp_a_SOURCES = \
	lmtp/connection.c \
	lmtp/deliver.c \
	lmtp/lmtp.h \
	lmtp/role.c lmtp/role.h \
	lmtp/settings.c
daemon_PROGRAMS += lmtp/lmtp
lmtp_lmtp_SOURCES = lmtp/main.c
lmtp_lmtp_LDADD = liblmtp.a libsmtpclient.a libmail.a $(ROLE_LIBS)
dist_man_MANS += man/lmtp.8
