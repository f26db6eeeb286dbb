# The libraries of common/, layer by layer; each uses only those named before it.
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	common/base/arena.c common/base/arena.h \
	common/base/clock.h \
	common/base/mem.c common/base/mem.h \
	common/base/status.h \
	common/base/str.c common/base/str.h

include common/config/local.mk
