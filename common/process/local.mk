# Records and channels between processes (libipc), and what every daemon does at start (librole).
noinst_LIBRARIES += libipc.a librole.a
libipc_a_SOURCES = \
	common/process/ipc.c common/process/ipc.h \
	common/process/ipc_socket.c common/process/ipc_socket.h \
	common/process/ipc_codec.c common/process/ipc_codec.h
librole_a_SOURCES = \
	common/process/role.c common/process/role.h common/process/role_internal.h \
	common/process/role_start.c \
	common/process/helper.c common/process/helper.h \
	common/process/peers.c \
	common/process/layout.c common/process/layout.h \
	common/process/lockfile.c common/process/lockfile.h \
	common/process/log_sink.c common/process/log_sink.h \
	common/process/master_protocol.c common/process/master_protocol.h \
	common/process/sandbox.c \
	common/process/sandbox_landlock.c \
	common/process/sandbox_probe.c \
	common/process/sandbox_seccomp.c
librole_a_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
# What a daemon links, after its own libraries.
ROLE_LIBS = librole.a libconfig.a libipc.a $(SECCOMP_LIBS) $(BASE_LIBS)
