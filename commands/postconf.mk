sbin_PROGRAMS += commands/postconf
commands_postconf_SOURCES = \
	commands/postconf.c commands/postconf.h \
	commands/postconf_edit_main.c \
	commands/postconf_edit_master.c \
	commands/postconf_file.c \
	commands/postconf_main_cf.c \
	commands/postconf_master_cf.c \
	commands/postconf_match.c \
	commands/postconf_print.c \
	commands/postconf_types.c
commands_postconf_LDADD = libconfig.a $(BASE_LIBS)
dist_man_MANS += man/postconf.1
EXTRA_DIST += docs/config-differences.md
