/* SPDX-License-Identifier: ISC */
/* OpenSSL's SSL_CTX for one service: its settings, and the certificates it has now. */
#ifndef POSTHORN_TLS_CONTEXT_H
#define POSTHORN_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "common/tls/keys_protocol.h"
#include "common/tls/settings.h"

/* NULL when OpenSSL does not take a setting or no certificate: logged. identity may be empty (no certificates). */
SSL_CTX *tls_context_new(const struct tls_settings *settings, const struct keys_identity *identity) MUST_CHECK;

/* Certificates of one name for one connection, instead of the default ones. */
bool tls_context_set_identity(SSL *ssl, const struct keys_identity *identity) MUST_CHECK;

#endif
