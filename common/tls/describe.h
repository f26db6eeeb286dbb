/* SPDX-License-Identifier: ISC */
/* What a TLS connection is, in words: for struct tls_peer and the log. Log lines are Postfix's to the byte. */
#ifndef POSTHORN_TLS_DESCRIBE_H
#define POSTHORN_TLS_DESCRIBE_H

#include <openssl/ssl.h>

#include "common/base/arena.h"
#include "common/tls/tls_peer.h"

/* Warns of each error in OpenSSL's queue and empties it. */
void tls_log_errors(void);

/* Fills in the peer after the handshake; texts from the arena. digest: of fingerprints. client is for warnings. */
void tls_describe(SSL *ssl, const char *digest, const char *client, struct arena *arena, struct tls_peer *peer);

/* "Anonymous TLS connection established from ..." */
void tls_log_summary(const struct tls_peer *peer, const char *client);
/* "client certificate verification failed for ...", whatever X509_V_ERR_... says. cert may be NULL. */
void tls_log_verify_error(const char *client, long error, int depth, const X509 *certificate);
/* The steps of a handshake (smtpd_tls_loglevel >= 2), for SSL_set_info_callback(). */
void tls_log_step(const SSL *ssl, int where, int result);

#endif
