# Lookup table types, one file each, and what they share.
noinst_LIBRARIES += libtable.a libaddress.a
# Addresses as tokens: for aliases(5), the address resolver, and header rewriting.
libaddress_a_SOURCES = \
	common/mail/address_rewrite.c common/mail/address_rewrite.h \
	common/mail/rfc822_tokens.c common/mail/rfc822_tokens.h
libtable_a_SOURCES = \
	common/table/cidr.c common/table/cidr.h \
	common/table/cidr_index.c common/table/cidr_index.h \
	common/table/db_config.c common/table/db_config.h \
	common/table/db_job.c common/table/db_job.h \
	common/table/db_template.c \
	common/table/environ.c \
	common/table/fail.c \
	common/table/file_stamp.h \
	common/table/hash.c \
	common/table/helper_thread.c common/table/helper_thread.h \
	common/table/host_resolve.c common/table/host_resolve.h \
	common/table/indexed_file.c common/table/indexed_file.h \
	common/table/inline.c \
	common/table/ldap_quote.c common/table/ldap_quote.h \
	common/table/lmdb_file.c \
	common/table/maps.c common/table/maps.h \
	common/table/match_list.c common/table/match_list.h \
	common/table/pattern_literal.c common/table/pattern_literal.h \
	common/table/pattern_rules.c common/table/pattern_rules.h \
	common/table/libpq.c common/table/libpq.h \
	common/table/pgsql.c \
	common/table/pgsql_cancel.c \
	common/table/pgsql_host.c common/table/pgsql_host.h \
	common/table/pgsql_pool.c common/table/pgsql_pool.h \
	common/table/randmap.c \
	common/table/regex_rules.c common/table/regex_rules.h \
	common/table/regexp.c \
	common/table/regexp_search.c common/table/regexp_search.h \
	common/table/replacement.c common/table/replacement.h \
	common/table/rhs_file.c common/table/rhs_file.h \
	common/table/server_hosts.c common/table/server_hosts.h \
	common/table/socketmap.c common/table/socketmap.h \
	common/table/sqlite.c \
	common/table/static.c \
	common/table/table.c common/table/table.h \
	common/table/table_build.c common/table/table_build.h \
	common/table/table_server.c common/table/table_server.h \
	common/table/table_type_names.def common/table/table_types.c common/table/table_types.h \
	common/table/tcp.c \
	common/table/text_map.c common/table/text_map.h \
	common/table/text_source.c common/table/text_source.h \
	common/table/texthash.c \
	common/table/unionmap.c \
	common/table/unix.c \
	common/table/utf8.c common/table/utf8.h \
	common/table/worker_pool.c common/table/worker_pool.h
if WITH_PCRE
libtable_a_SOURCES += common/table/pcre.c
endif
if WITH_CDB
libtable_a_SOURCES += common/table/cdb_file.c
endif
if WITH_MYSQL
libtable_a_SOURCES += common/table/mysql.c common/table/mysql_connection.c common/table/mysql_connection.h
endif
if WITH_LDAP
libtable_a_SOURCES += common/table/ldap.c common/table/ldap_connection.c common/table/ldap_search.c common/table/ldap_table.h
endif
libtable_a_CFLAGS = $(AM_CFLAGS) $(PCRE_CFLAGS) $(LIBPQ_CFLAGS) $(SQLITE_CFLAGS) $(CDB_CFLAGS) $(MYSQL_CFLAGS)
TABLE_TYPE_LIBS = $(SQLITE_LIBS) $(LMDB_LIBS) $(PCRE_LIBS) $(CDB_LIBS) $(MYSQL_LIBS) $(LDAP_LIBS) -lpthread

# For programs that open tables.
TABLE_LIBS = libtable.a libaddress.a libconfig.a libipc.a $(BASE_LIBS) $(TABLE_TYPE_LIBS)
