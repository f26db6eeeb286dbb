noinst_LIBRARIES += libmail.a
libmail_a_SOURCES = \
	common/mail/envelope.c common/mail/envelope.h \
	common/mail/lookup_protocol.c common/mail/lookup_protocol.h \
	common/mail/queue_id.c \
	common/mail/queue_protocol.c common/mail/queue_protocol.h
include common/mail/address.mk
