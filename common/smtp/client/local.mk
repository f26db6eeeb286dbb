# The client side: replies, sessions, transactions. Uses libmail and libbase.
noinst_LIBRARIES += libsmtpclient.a
libsmtpclient_a_SOURCES = \
	common/smtp/client/capabilities.c common/smtp/client/capabilities.h \
	common/smtp/client/command.c \
	common/smtp/client/content_writer.c common/smtp/client/content_writer.h \
	common/smtp/client/next_hop.c common/smtp/client/next_hop.h \
	common/smtp/client/reply.c common/smtp/client/reply.h \
	common/smtp/client/session.c common/smtp/client/session.h \
	common/smtp/client/transaction.c common/smtp/client/transaction.h
