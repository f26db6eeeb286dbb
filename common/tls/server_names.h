/* SPDX-License-Identifier: ISC */
/* Certificates by the name that the client asks for (SNI, RFC 6066 3; tls_server_sni_maps). */
#ifndef POSTHORN_TLS_SERVER_NAMES_H
#define POSTHORN_TLS_SERVER_NAMES_H

#include <openssl/ssl.h>

/* Handshakes of this context choose by name. */
void server_names_install(SSL_CTX *context);
/* There may be new certificates: what keys said counts no more. */
void server_names_forget(void);

#endif
