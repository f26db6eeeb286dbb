# The server's small memory, as far as it is no file (libstate): records, what is counted, and how roles ask for it.
noinst_LIBRARIES += libstate.a
libstate_a_SOURCES = \
	common/state/counter.c common/state/counter.h \
	common/state/local_memory.c common/state/local_memory.h \
	common/state/state_client.c common/state/state_client.h \
	common/state/state_protocol.c common/state/state_protocol.h \
	common/state/turnstile.c common/state/turnstile.h
