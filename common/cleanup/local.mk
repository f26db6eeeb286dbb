# What cleanup(8) does to content, as far as it is pure.
noinst_LIBRARIES += libcleanup.a
libcleanup_a_SOURCES = \
	common/cleanup/check_action.c common/cleanup/check_action.h \
	common/cleanup/content_type.c common/cleanup/content_type.h \
	common/cleanup/header_addresses.c common/cleanup/header_addresses.h \
	common/cleanup/header_class.c common/cleanup/header_class.h \
	common/cleanup/mime_state.c common/cleanup/mime_state.h
