# SASL without a library: records between services and auth, mechanisms, base64.
noinst_LIBRARIES += libsasl.a
libsasl_a_SOURCES = \
	common/sasl/base64.c \
	common/sasl/sasl_mechanism.c common/sasl/sasl_mechanism.h \
	common/sasl/sasl_protocol.c common/sasl/sasl_protocol.h
