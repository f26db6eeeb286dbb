# The access policy of services that take mail in.
noinst_LIBRARIES += libaccess.a
libaccess_a_SOURCES = \
	common/access/access.h \
	common/access/client_list.c common/access/client_list.h \
	common/access/client_name.c \
	common/access/dns_filter.c common/access/dns_filter.h \
	common/access/dnsxl.c common/access/dnsxl.h \
	common/access/from_addresses.c common/access/from_login.c \
	common/access/lookup_client.c \
	common/access/owner.h \
	common/access/resolver_client.c \
	common/access/policy_pool.c \
	common/access/policy_reply.c common/access/policy_reply.h \
	common/access/policy_request.c \
	common/access/policy_service.c common/access/policy_service.h \
	common/access/restrict.h \
	common/access/permit_log.c \
	common/access/access_memory.c common/access/access_memory.h \
	common/access/restrict_access.c \
	common/access/restrict_action.c \
	common/access/restrict_basic.c \
	common/access/restrict_destination.c \
	common/access/restrict_evaluate.c \
	common/access/restrict_mx_backup.c \
	common/access/restrict_name.c \
	common/access/restrict_policy.c \
	common/access/restrict_owner.c \
	common/access/restrict_rbl.c \
	common/access/restrict_server.c \
	common/access/restrict_table.c \
	common/access/restrict_tls.c \
	common/access/restrict_verify.c \
	common/access/verify_client.c common/access/verify_client.h \
	common/access/restrict_unknown.c \
	common/access/settings.c \
	common/access/spf.c common/access/spf.h \
	common/access/explain_protocol.c common/access/explain_protocol.h \
	common/access/trace.c common/access/trace.h
