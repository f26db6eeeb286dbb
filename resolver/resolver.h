/* SPDX-License-Identifier: ISC */
/* What the files of the resolver role share. */
#ifndef POSTHORN_RESOLVER_RESOLVER_H
#define POSTHORN_RESOLVER_RESOLVER_H

#include "common/dns/dns_protocol.h"
#include "common/dns/spf_protocol.h"
#include "common/process/role.h"

/* --- resolv_conf.c: pure ---------------------------------------------------------------------- */

struct resolv_conf {
    struct str servers; /* "192.0.2.53,[2001:db8::53]:5353": as c-ares reads it */
    size_t server_count;
    unsigned timeout_s; /* for one try */
    unsigned attempts;  /* at each server */
};
/* resolv.conf(5): nameserver lines, and the options timeout and attempts. Defaults for what is not there. */
void resolv_conf_parse(struct slice text, struct resolv_conf *conf);
/* resolver_servers: addresses with an optional port. False: malformed. */
bool resolv_conf_parse_servers(const char *text, struct resolv_conf *conf) MUST_CHECK;

/* --- dns_message.c: pure, fuzzed ---------------------------------------------------------------- */

/*
 * Reads the records of one type that a reply (RFC 1035 4.1) has about the name; CNAMEs inside it are followed.
 * Memory from the arena. *alias is the name that the last CNAME points to when there are no records
 * for it, otherwise NULL: the caller asks about that. False: malformed.
 */
bool dns_message_read(const unsigned char *data, size_t len, const char *name, uint16_t type, struct arena *arena,
                      struct dns_answer *answer, char **alias) MUST_CHECK;
/* TXT records come raw; this makes blanks of what is not printable ASCII. */
void dns_text_make_printable(struct dns_answer *answer);

/* --- cache.c ------------------------------------------------------------------------------------ */

/* False: not there or too old. Memory from the arena. */
bool cache_find(const char *name, uint16_t type, struct arena *arena, struct dns_answer *answer) MUST_CHECK;
void cache_add(const char *name, uint16_t type, const struct dns_answer *answer);

/* --- query.c ---------------------------------------------------------------------------------------- */

/* Prepares c-ares with the rights of the caller: afterwards it opens no file. */
void query_open(const struct config *config);
/* Asks, on a fiber: from the cache or from the servers, CNAMEs followed. Never fails: at worst DNS_TEMPORARY, also when
 * the deadline (or a minute) passes. TXT records are raw. */
void query_ask(const char *name, uint16_t type, int64_t deadline, struct arena *arena, struct dns_answer *answer);

/* --- peername.c --------------------------------------------------------------------------------------- */

void peername_find(const char *address, struct arena *arena, struct dns_peername *peer);

/* --- spf_check.c --------------------------------------------------------------------------------------- */

/* Makes libspf2 silent: what it remarks goes to nobody. */
void spf_open(void);
/* Checks the identities that the question names (RFC 7208 2.3), on a fiber. Texts of the answer are of the arena. */
void spf_check(const struct spf_question *question, struct arena *arena, struct spf_answer *answer);
/* One identity: check_host() of RFC 7208 4.1. The domain is the sender's. */
void spf_check_host(const struct spf_question *question, const char *sender, struct arena *arena, struct spf_verdict *verdict);

#endif
