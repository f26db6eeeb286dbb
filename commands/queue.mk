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
install-exec-hook:
	cd $(DESTDIR)$(sbindir) && rm -f mailq && ln -s postqueue mailq
uninstall-hook:
	rm -f $(DESTDIR)$(sbindir)/mailq
