noinst_LIBRARIES += libmail.a
libmail_a_SOURCES = \
	common/mail/delivery_agent.c common/mail/delivery_agent.h \
	common/mail/bounce_message.c common/mail/bounce_message.h \
	common/mail/bounce_template.c common/mail/bounce_template.h \
	common/mail/cleanup_protocol.c common/mail/cleanup_protocol.h \
	common/mail/control_protocol.c common/mail/control_protocol.h \
	common/mail/delivery_content.c common/mail/delivery_content.h \
	common/mail/delivery_report.c common/mail/delivery_report.h \
	common/mail/envelope.c common/mail/envelope.h \
	common/mail/lookup_protocol.c common/mail/lookup_protocol.h \
	common/mail/probe_sender.c common/mail/probe_sender.h \
	common/mail/verify_record.c common/mail/verify_record.h \
	common/mail/policy_spec.c common/mail/policy_spec.h \
	common/mail/queue_id.c \
	common/mail/queue_protocol.c common/mail/queue_protocol.h \
	common/mail/quote.c common/mail/quote.h
include common/mail/address.mk
