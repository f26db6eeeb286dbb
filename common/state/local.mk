# Records of the server's small memory (libstate), and how roles ask for it.
noinst_LIBRARIES += libstate.a
libstate_a_SOURCES = \
	common/state/state_client.c common/state/state_client.h \
	common/state/state_protocol.c common/state/state_protocol.h
