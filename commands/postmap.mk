# postmap, postalias and newaliases: one source, three names; the name says what it does.
noinst_LIBRARIES += libpostmap.a
libpostmap_a_SOURCES = \
	commands/control_client.c commands/control_client.h \
	commands/postmap.h \
	commands/postmap_create.c \
	commands/postmap_message.c \
	commands/postmap_query.c
POSTMAP_LIBS = libpostmap.a libcleanup.a $(TABLE_LIBS)
sbin_PROGRAMS += commands/postmap commands/postalias
bin_PROGRAMS += commands/newaliases
commands_postmap_SOURCES = commands/postmap.c
commands_postmap_LDADD = $(POSTMAP_LIBS)
commands_postalias_SOURCES = commands/postmap.c
commands_postalias_LDADD = $(POSTMAP_LIBS)
commands_newaliases_SOURCES = commands/postmap.c
commands_newaliases_LDADD = $(POSTMAP_LIBS)
dist_man_MANS += man/postmap.1 man/postalias.1 man/newaliases.1
