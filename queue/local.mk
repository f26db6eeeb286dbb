# queue: the spool's owner. The role's objects are a library of their own, so that tests can link them.
noinst_LIBRARIES += libqueue.a
libqueue_a_SOURCES = \
	queue/bounce.c \
	queue/bounce_texts.c \
	queue/control.c \
	queue/disk.c \
	queue/intake.c \
	queue/listing.c queue/listing.h \
	queue/load.c \
	queue/message.c \
	queue/queue.h \
	queue/probe.c \
	queue/role.c queue/role.h \
	queue/route.c \
	queue/schedule.c \
	queue/settings.c \
	queue/settle.c \
	queue/showq.c \
	queue/store.c \
	queue/transport.c
daemon_PROGRAMS += queue/queue
queue_queue_SOURCES = queue/main.c
queue_queue_LDADD = libqueue.a libspool.a libcleanup.a libaddress.a libmail.a libstate.a $(ROLE_LIBS)
queue_queue_LDFLAGS = $(AM_LDFLAGS) -pthread
