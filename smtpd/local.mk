# smtpd: port 25.
SMTPD_POLICY_SOURCES = \
	smtpd/client_name.c \
	smtpd/client_list.c smtpd/client_list.h \
	smtpd/dnsxl.c smtpd/dnsxl.h \
	smtpd/policy.c \
	smtpd/restrict.h \
	smtpd/restrict_access.c \
	smtpd/restrict_action.c \
	smtpd/restrict_basic.c \
	smtpd/restrict_destination.c \
	smtpd/restrict_evaluate.c \
	smtpd/restrict_name.c \
	smtpd/restrict_rbl.c \
	smtpd/restrict_server.c \
	smtpd/restrict_table.c \
	smtpd/restrict_unknown.c \
	smtpd/settings.c \
	smtpd/smtpd.h
daemon_PROGRAMS += smtpd/smtpd
smtpd_smtpd_SOURCES = $(SMTPD_POLICY_SOURCES) \
	smtpd/listener.c smtpd/lookup_client.c smtpd/main.c smtpd/queue_client.c smtpd/resolver_client.c
smtpd_smtpd_LDADD = libsmtpserver.a libdns.a libmail.a $(ROLE_LIBS)
