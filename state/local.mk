# state: the server's small memory. All but the role is a library, so that tests can link it.
noinst_LIBRARIES += libstatestore.a
libstatestore_a_SOURCES = state/store.c state/store.h
daemon_PROGRAMS += state/state
state_state_SOURCES = state/memory.c state/memory.h state/role.c
state_state_LDADD = libstatestore.a libstate.a $(ROLE_LIBS) $(LMDB_LIBS)
dist_man_MANS += man/state.8
