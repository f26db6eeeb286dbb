# Samples: installed as documentation, never over a configuration that is there.
examplesdir = $(docdir)/examples
dist_examples_DATA = etc/main.cf etc/master.cf etc/schema.postgresql.sql etc/schema.sqlite.sql
nodist_examples_DATA = etc/posthorn.service
pgsqlexamplesdir = $(examplesdir)/pgsql
dist_pgsqlexamples_DATA = etc/pgsql/domains.cf etc/pgsql/mailboxes.cf etc/pgsql/aliases.cf etc/pgsql/senders.cf
sqliteexamplesdir = $(examplesdir)/sqlite
dist_sqliteexamples_DATA = etc/sqlite/domains.cf etc/sqlite/mailboxes.cf etc/sqlite/aliases.cf etc/sqlite/senders.cf
EXTRA_DIST += etc/posthorn.service.in etc/demo/main.cf.in etc/demo/data.sql etc/demo/dovecot.conf.in etc/demo/dovecot-2.4.conf.in

etc/posthorn.service: $(top_srcdir)/etc/posthorn.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' $(top_srcdir)/etc/posthorn.service.in >$@
CLEANFILES += etc/posthorn.service
