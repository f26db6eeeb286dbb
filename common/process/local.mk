# Records and channels between processes (libipc), and what every daemon does at start (librole).
noinst_LIBRARIES += libipc.a
libipc_a_SOURCES = \
	common/process/ipc.c common/process/ipc.h \
	common/process/ipc_codec.c common/process/ipc_codec.h \
	common/process/role.h
