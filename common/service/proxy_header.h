/* SPDX-License-Identifier: ISC */
/*
 * The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): the first bytes of a connection, in which a
 * load balancer says who is really there. Pure; fuzzed.
 */
#ifndef POSTHORN_SERVICE_PROXY_HEADER_H
#define POSTHORN_SERVICE_PROXY_HEADER_H

#include <netinet/in.h>
#include <stdbool.h>

#include "common/base/str.h"

#define PROXY_HEADER_LIMIT 536 /* bytes, as in Postfix */

enum proxy_status {
    PROXY_OK,
    PROXY_MORE, /* what came so far is the beginning of one; `error` is what to say when nothing follows */
    PROXY_BAD,
};

struct proxy_header {
    bool is_local; /* the proxy itself asks (a health check): the addresses are those of the connection */
    size_t size;   /* bytes of the header */
    char client_address[INET6_ADDRSTRLEN], server_address[INET6_ADDRSTRLEN];
    char client_port[8], server_port[8];
    const char *error; /* Postfix's words; with PROXY_BAD and PROXY_MORE */
};

enum proxy_status proxy_header_parse(struct slice bytes, bool use_ipv4, bool use_ipv6, struct proxy_header *header) MUST_CHECK;

#endif
