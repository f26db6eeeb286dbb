# master: the supervisor.
noinst_LIBRARIES += libmaster.a
libmaster_a_SOURCES = \
	master/backoff.c master/backoff.h \
	master/graph.c master/graph.h \
	master/listeners.c master/listeners.h \
	master/plan.c master/plan.h \
	master/spawn_entry.c
daemon_PROGRAMS += master/master
master_master_SOURCES = \
	master/connect.c \
	master/control.c \
	master/key_files.c \
	master/explain.c \
	master/log.c \
	master/main.c \
	master/notify.c \
	master/process.c \
	master/reload.c \
	master/spawn.c master/spawn.h \
	master/spawn_child.c master/spawn_child.h \
	master/stop.c \
	master/supervise.c master/supervisor.h
master_master_LDADD = libmaster.a libtlsfiles.a libtable.a libaddress.a libmail.a $(ROLE_LIBS)
