/* SPDX-License-Identifier: ISC */
/*
 * What is known of an encrypted connection, for logs, Received lines, restrictions, policy services and SASL. Filled in
 * by the handshake (common/tls); everybody else only reads it. All texts are printable and never NULL ("" when unknown).
 */
#ifndef POSTHORN_TLS_TLS_PEER_H
#define POSTHORN_TLS_TLS_PEER_H

#include <stdbool.h>

struct tls_peer {
    const char *protocol;    /* "TLSv1.3" */
    const char *cipher;      /* "TLS_AES_256_GCM_SHA384" */
    int cipher_bits_used, cipher_bits_total;
    const char *details;     /* what Postfix logs behind the cipher: " key-exchange X25519 server-signature ..." or "" */
    const char *server_name; /* SNI that the client asked for */
    bool has_certificate;    /* the client showed one */
    bool is_trusted;         /* and it leads to a CA of ours */
    bool is_resumed;
    const char *subject;     /* CN of the client's certificate */
    const char *issuer;
    const char *fingerprint; /* of the certificate, by smtpd_tls_fingerprint_digest, "AA:BB:..." */
    const char *public_key_fingerprint;
};

#endif
