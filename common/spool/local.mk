# The spool's file format, its journal and its files.
noinst_LIBRARIES += libspool.a
libspool_a_SOURCES = \
	common/spool/file_ops.c common/spool/file_ops.h \
	common/spool/frame.c common/spool/frame.h \
	common/spool/journal.c common/spool/journal.h \
	common/spool/layout.c common/spool/layout.h \
	common/spool/message_file.c common/spool/message_file.h \
	common/spool/recover.c \
	common/spool/scan.c common/spool/scan.h \
	common/spool/spool.c common/spool/spool.h \
	common/spool/spool_io.c common/spool/spool_io.h
