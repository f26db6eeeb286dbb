# The address resolver: for lookup and for commands that explain.
noinst_LIBRARIES += libresolve.a
libresolve_a_SOURCES = \
	common/mail/resolve.c common/mail/resolve.h common/mail/resolve_internal.h \
	common/mail/resolve_alias.c \
	common/mail/resolve_canonical.c \
	common/mail/resolve_domain.c common/mail/resolve_domain.h \
	common/mail/resolve_find.c \
	common/mail/resolve_own.c \
	common/mail/resolve_rewrite.c \
	common/mail/resolve_route.c

RESOLVE_LIBS = libresolve.a libmail.a $(TABLE_LIBS)
