# The SMTP dialogue, server side: used by smtpd and submission.
noinst_LIBRARIES += libsmtpserver.a
libsmtpserver_a_SOURCES = \
	common/smtp/server/cmd_auth.c \
	common/smtp/server/cmd_bdat.c \
	common/smtp/server/cmd_data.c \
	common/smtp/server/cmd_helo.c \
	common/smtp/server/cmd_mail.c \
	common/smtp/server/cmd_noop.c \
	common/smtp/server/cmd_other.c \
	common/smtp/server/cmd_quit.c \
	common/smtp/server/cmd_rcpt.c \
	common/smtp/server/cmd_rset.c \
	common/smtp/server/cmd_starttls.c \
	common/smtp/server/cmd_vrfy.c \
	common/smtp/server/cmd_xclient.c \
	common/smtp/server/command.c \
	common/smtp/server/content.c common/smtp/server/content.h \
	common/smtp/server/data_reader.c common/smtp/server/data_reader.h \
	common/smtp/server/filtered_content.c \
	common/smtp/server/forward_attribute.c common/smtp/server/forward_attribute.h \
	common/smtp/server/policy.h common/tls/tls_peer.h \
	common/smtp/server/reply.c \
	common/smtp/server/reply_filter.c common/smtp/server/reply_filter.h \
	common/smtp/server/session_peer.c \
	common/smtp/server/session.c common/smtp/server/session.h \
	common/smtp/server/settings.c \
	common/smtp/server/trace_tls.c \
	common/smtp/server/transcript.c common/smtp/server/transcript.h
