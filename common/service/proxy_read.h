/* SPDX-License-Identifier: ISC */
/* Takes the PROXY header off a new connection, on a fiber. */
#ifndef POSTHORN_SERVICE_PROXY_READ_H
#define POSTHORN_SERVICE_PROXY_READ_H

#include "common/base/fiber.h"
#include "common/service/proxy_header.h"

/* component: who logs ("smtpd", "postscreen"). False: no header that counts; it has been logged, and the connection is to
 * end. Not a byte behind the header is read. */
bool proxy_read(struct fiber_fd *connection, const char *component, int64_t timeout_s, bool use_ipv4, bool use_ipv6,
                struct proxy_header *header) MUST_CHECK;

#endif
