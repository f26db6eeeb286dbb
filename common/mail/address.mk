# Addresses, headers and DSN parameters as they arrive from strangers.
libmail_a_SOURCES += \
	common/mail/address_parse.c common/mail/address_parse.h \
	common/mail/dsn_parameter.c common/mail/dsn_parameter.h \
	common/mail/auth_results.c common/mail/auth_results.h \
	common/mail/header_edit.c common/mail/header_edit.h \
	common/mail/hostname.c common/mail/hostname.h \
	common/mail/received.c common/mail/received.h
