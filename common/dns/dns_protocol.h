/* SPDX-License-Identifier: ISC */
/*
 * Records between a role and the resolver, the one process that speaks DNS. Each question is one round trip. What
 * cannot be told now (timeout, SERVFAIL, resolver down) is DNS_TEMPORARY: a 4xx, never a 5xx.
 */
#ifndef POSTHORN_DNS_PROTOCOL_H
#define POSTHORN_DNS_PROTOCOL_H

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/process/ipc_codec.h"

#define DNS_MAX_RECORDS 256   /* of one answer; more are dropped */
#define DNS_MAX_NAME 255      /* RFC 1035 2.3.4 */
#define DNS_MAX_QUESTION 1024 /* bytes of a request */

enum dns_request {
    DNS_QUERY = 1,    /* request {text name, u16 type} -> {struct dns_answer} */
    DNS_PEERNAME = 2, /* request {text address}        -> {struct dns_peername} */
    DNS_SPF = 3,      /* request {struct spf_question} -> {struct spf_answer}: spf_protocol.h */
};

/* RFC 1035 3.2.2, RFC 3596. */
enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };
bool dns_type_is_known(uint16_t type);
/* "MX"; "?" for a type that is not known. */
const char *dns_type_name(uint16_t type);

enum dns_status {
    DNS_FOUND = 0,
    DNS_NO_NAME = 1,   /* NXDOMAIN */
    DNS_NO_DATA = 2,   /* the name is there, but nothing of this type */
    DNS_TEMPORARY = 3,
    DNS_INVALID = 4,   /* an answer, but nothing usable in it: an MX that is no host name */
    DNS_NULL_MX = 5,   /* RFC 7505: "MX 0 ." */
    DNS_FILTERED = 6,  /* never in a record: smtpd_dns_reply_filter left nothing */
};

struct dns_record {
    uint16_t preference; /* of an MX */
    char *data;          /* an address or a name; a TXT's strings in one; an SOA's primary name server */
};

struct dns_answer {
    uint8_t status; /* enum dns_status */
    uint32_t ttl;   /* seconds; of the whole answer */
    char *owner;    /* whose records these are when aliases led there; NULL or "": the name that was asked about */
    struct dns_record *records;
    size_t count;   /* at least one when found */
};

/* What Postfix calls SMTPD_PEER_CODE: how sure a client's name is. */
enum peername_status {
    PEERNAME_OK = 2,
    PEERNAME_TEMPORARY = 4,
    PEERNAME_NONE = 5,
    PEERNAME_FORGED = 6, /* the name does not have this address */
};

struct dns_peername {
    uint8_t status, reverse_status; /* enum peername_status */
    char *name;         /* verified, or "unknown" */
    char *reverse_name; /* what the address claims, or "unknown" */
    char *warning;      /* for the log: why the name is not believed; "" when it is */
};

void dns_answer_encode(const struct dns_answer *answer, struct str *out);
bool dns_answer_decode(struct slice body, struct arena *arena, struct dns_answer *answer) MUST_CHECK;
void dns_peername_encode(const struct dns_peername *peer, struct str *out);
bool dns_peername_decode(struct slice body, struct arena *arena, struct dns_peername *peer) MUST_CHECK;

#endif
