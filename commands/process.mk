# postfix, which starts and stops the mail system, and posthorn, the front door for what is new.
sbin_PROGRAMS += commands/postfix commands/posthorn
commands_postfix_SOURCES = \
	commands/control_client.c commands/control_client.h \
	commands/postfix.c
commands_postfix_LDADD = $(ROLE_LIBS)
commands_posthorn_SOURCES = \
	commands/control_client.c commands/control_client.h \
	commands/posthorn.c commands/posthorn.h \
	commands/posthorn_check.c commands/posthorn_check.h \
	commands/posthorn_check_auth.c \
	commands/posthorn_check_certificates.c \
	commands/posthorn_check_databases.c \
	commands/posthorn_check_delivery.c commands/posthorn_check_domains.c \
	commands/posthorn_check_names.c \
	commands/posthorn_check_networks.c \
	commands/posthorn_check_order.c \
	commands/posthorn_check_parameters.c \
	commands/posthorn_check_relay.c \
	commands/posthorn_check_report.c \
	commands/posthorn_check_restrictions.c \
	commands/posthorn_check_rights.c \
	commands/posthorn_check_sockets.c \
	commands/posthorn_check_tables.c \
	commands/posthorn_check_view.c \
	commands/json.c commands/json.h \
	commands/posthorn_explain.c commands/posthorn_explain.h \
	commands/posthorn_explain_ask.c \
	commands/posthorn_explain_log.c \
	commands/posthorn_explain_advice.c commands/posthorn_explain_print.c \
	commands/posthorn_probe.c \
	commands/posthorn_status.c
commands_posthorn_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
commands_posthorn_LDADD = libaccess.a libmail.a libaddress.a $(ROLE_LIBS) $(OPENSSL_LIBS)
