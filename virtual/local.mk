# virtual: delivery into Maildirs and mailbox files. The role's objects are a library, so that tests can link them.
noinst_LIBRARIES += libvirtual.a
libvirtual_a_SOURCES = \
	virtual/deliver.c \
	virtual/mailbox.c \
	virtual/maildir.c \
	virtual/mbox.c \
	virtual/message.c \
	virtual/owner.c \
	virtual/role.c virtual/role.h \
	virtual/settings.c \
	virtual/sync.c \
	virtual/virtual.h
daemon_PROGRAMS += virtual/virtual
virtual_virtual_SOURCES = virtual/main.c
virtual_virtual_LDADD = libvirtual.a libmail.a $(ROLE_LIBS)
dist_man_MANS += man/virtual.8
