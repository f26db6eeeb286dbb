/* SPDX-License-Identifier: ISC */
/*
 * Host names of configured peers (a database, an LMTP server) to addresses, through the C library. Names that
 * strangers choose are the resolver role's business, not this one's.
 */
#ifndef POSTHORN_TABLE_HOST_RESOLVE_H
#define POSTHORN_TABLE_HOST_RESOLVE_H

#include <netdb.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/status.h"

#define HOST_MAX_ADDRESSES 8
#define HOST_TEXT_SIZE NI_MAXHOST

struct host_address {
    struct sockaddr_storage address;
    socklen_t len;
};

struct host_addresses {
    struct host_address list[HOST_MAX_ADDRESSES];
    size_t count;
};

/*
 * TCP addresses of "name" or of a literal ("192.0.2.1", "[2001:db8::1]", "2001:db8::1"); port is a number or a
 * service name. A literal never waits; for a name, a helper thread asks the C library while the fiber waits (outside
 * of a fiber the call blocks). NULL when addresses were found; otherwise what went wrong, a constant text.
 */
const char *host_resolve(const char *host, const char *port, struct host_addresses *addresses,
                         int64_t deadline) MUST_CHECK;

/* "192.0.2.1", "2001:db8::1". */
void host_address_text(const struct host_address *address, char text[HOST_TEXT_SIZE]);

#endif
