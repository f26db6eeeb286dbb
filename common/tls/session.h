/* SPDX-License-Identifier: ISC */
/* One encrypted connection: shared by server.c (handshake, stream) and server_names.c. Nobody else's business. */
#ifndef POSTHORN_TLS_SESSION_H
#define POSTHORN_TLS_SESSION_H

#include <openssl/ssl.h>

#include "common/base/arena.h"
#include "common/tls/tls_peer.h"

struct tls_session {
    SSL *ssl;
    struct tls_peer peer;
    struct arena *arena; /* of the peer's texts */
    const char *client;
    const char *requested_name; /* SNI: valid, as the client wrote it; NULL: none that counts */
    X509 *bad_certificate; /* verification: nearest to the leaf */
    long verify_error;
    int verify_depth;
    bool has_ticket;       /* the client came with one that opened */
    bool is_broken;        /* no goodbye: the stream of records is out of step */
};

struct tls_session *tls_session_of(const SSL *ssl);

#endif
