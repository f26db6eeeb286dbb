sbin_PROGRAMS += commands/postconf
commands_postconf_SOURCES = \
	commands/postconf.c commands/postconf.h \
	commands/postconf_edit_main.c \
	commands/postconf_edit_master.c \
	commands/postconf_file.c \
	commands/postconf_json.c \
	commands/postconf_main_cf.c \
	commands/postconf_master_cf.c \
	commands/postconf_match.c \
	commands/postconf_print.c \
	commands/postconf_templates.c \
	commands/postconf_tls.c \
	commands/postconf_types.c
commands_postconf_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
commands_postconf_LDADD = libmail.a libconfig.a $(BASE_LIBS) $(OPENSSL_LIBS)
dist_man_MANS += man/postconf.1
EXTRA_DIST += docs/config-differences.md
