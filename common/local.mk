# The libraries of common/, layer by layer; each uses only those named before it.
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	common/base/arena.c common/base/arena.h \
	common/base/clock.h \
	common/base/fiber.c common/base/fiber.h \
	common/base/fiber_stack.c common/base/fiber_stack.h \
	common/base/log.c common/base/log.h \
	common/base/mem.c common/base/mem.h \
	common/base/stack_watch.c common/base/stack_watch.h \
	common/base/status.h \
	common/base/str.c common/base/str.h \
	common/base/hex.c common/base/hex.h \
	common/base/stream.c common/base/stream.h

include common/process/local.mk
include common/config/local.mk
include common/table/local.mk
include common/mail/local.mk
include common/sasl/local.mk
include common/mail/resolve.mk
include common/dns/local.mk
include common/cleanup/local.mk
include common/smtp/local.mk
include common/tls/local.mk
include common/state/local.mk
include common/access/local.mk
include common/service/local.mk
include common/spool/local.mk
