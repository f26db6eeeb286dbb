# postfix, which starts and stops the mail system, and posthorn, the front door for what is new.
sbin_PROGRAMS += commands/postfix commands/posthorn
commands_postfix_SOURCES = \
	commands/control_client.c commands/control_client.h \
	commands/postfix.c
commands_postfix_LDADD = $(ROLE_LIBS)
commands_posthorn_SOURCES = \
	commands/control_client.c commands/control_client.h \
	commands/posthorn.c commands/posthorn.h \
	commands/posthorn_probe.c \
	commands/posthorn_status.c
commands_posthorn_LDADD = $(ROLE_LIBS)
