# postqueue (also mailq), postsuper and postcat.
sbin_PROGRAMS += commands/postqueue commands/postsuper commands/postcat
QUEUE_CLIENT_SOURCES = \
	commands/queue_client.c commands/queue_client.h \
	commands/queue_offline.c
QUEUE_CLIENT_LIBS = libspool.a libmail.a libconfig.a libipc.a $(BASE_LIBS)
commands_postqueue_SOURCES = commands/postqueue.c $(QUEUE_CLIENT_SOURCES)
commands_postqueue_LDADD = $(QUEUE_CLIENT_LIBS)
commands_postsuper_SOURCES = commands/postsuper.c $(QUEUE_CLIENT_SOURCES)
commands_postsuper_LDADD = $(QUEUE_CLIENT_LIBS)
commands_postcat_SOURCES = commands/postcat.c $(QUEUE_CLIENT_SOURCES)
commands_postcat_LDADD = $(QUEUE_CLIENT_LIBS)
# Installed by root, postqueue is set-gid as Postfix's is: public/ is closed to others. Another setgid_group, or one
# that is created later: "postfix set-permissions".
install-exec-hook:
	cd $(DESTDIR)$(sbindir) && rm -f mailq && ln -s postqueue mailq
	if test -z "$(DESTDIR)" && test "`id -u`" = 0 && getent group postdrop >/dev/null; then \
		chgrp postdrop $(sbindir)/postqueue && chmod 2755 $(sbindir)/postqueue; \
	fi
uninstall-hook:
	rm -f $(DESTDIR)$(sbindir)/mailq
