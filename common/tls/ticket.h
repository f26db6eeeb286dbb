/* SPDX-License-Identifier: ISC */
/*
 * Session tickets (RFC 5077, RFC 8446 4.6.1): sealed with keys that only this process has, so a ticket of one service is
 * nothing to another; new keys every smtpd_tls_session_cache_timeout, the last ones still open tickets as long again.
 */
#ifndef POSTHORN_TLS_TICKET_H
#define POSTHORN_TLS_TICKET_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

void tls_ticket_use(SSL_CTX *context, int64_t lifetime_seconds, bool logs);

#endif
