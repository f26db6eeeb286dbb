/* SPDX-License-Identifier: ISC */
/* The smtpd_tls_* and tls_* parameters of one service, read and checked once, while files can be opened. */
#ifndef POSTHORN_TLS_SETTINGS_H
#define POSTHORN_TLS_SETTINGS_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/tls/level.h"
#include "common/tls/protocols.h"

struct tls_settings {
    struct tls_level level;
    bool works;           /* false: something makes TLS impossible; it was logged */
    bool is_anonymous;    /* smtpd_tls_cert_file = none: no certificate is wanted */
    const char *service;
    unsigned log;         /* enum tls_log */
    struct tls_protocols protocols;
    char *ciphers;        /* OpenSSL's list for TLS 1.2 and before */
    uint64_t options;     /* SSL_OP_... */
    char *groups;         /* key exchange, OpenSSL's list; NULL: its own */
    EVP_PKEY *dh;         /* smtpd_tls_dh1024_param_file; NULL: by the strength of the certificate */
    bool asks_certificate, requires_certificate, trusts_server_certificates;
    int verify_depth;
    const char *digest;   /* smtpd_tls_fingerprint_digest */
    X509_STORE *authorities; /* NULL: none */
    STACK_OF(X509_NAME) *authority_names; /* told to clients that are asked; NULL: none */
    bool uses_server_names; /* tls_server_sni_maps */
    bool issues_tickets, keeps_sessions, issues_session_ids;
    bool waits_for_close; /* tls_fast_shutdown_enable = no */
    int64_t handshake_seconds, session_seconds;
};

/* What it warns of is in Postfix's words. service is borrowed. Fatal for a level that does not exist. */
void tls_settings_read(struct tls_settings *settings, const struct config *config, const char *service);

#endif
