# lookup: tables, address classes, routing, connections.
daemon_PROGRAMS += lookup/lookup
lookup_lookup_SOURCES = \
	lookup/answers.c \
	lookup/cleanup_answers.c \
	lookup/connect.c \
	lookup/known_endpoints.c \
	lookup/known_tables.c \
	lookup/lookup.h \
	lookup/main.c \
	lookup/probe_config.c \
	lookup/question.c \
	lookup/role.c
lookup_lookup_LDADD = libresolve.a libmail.a libtable.a libaddress.a $(ROLE_LIBS) $(TABLE_TYPE_LIBS)
dist_man_MANS += man/lookup.8
