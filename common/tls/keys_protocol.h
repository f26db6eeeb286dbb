/* SPDX-License-Identifier: ISC */
/*
 * Records between a service that speaks TLS and keys, the one process that holds private keys. The service gets
 * certificates, which are public, and has what a server signs in a handshake signed; keys looks at the form of it and
 * signs nothing else. A service can use the keys that its own configuration names, and no others.
 */
#ifndef POSTHORN_TLS_KEYS_PROTOCOL_H
#define POSTHORN_TLS_KEYS_PROTOCOL_H

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/process/ipc_codec.h"

enum keys_record {
    KEYS_IDENTITY = 1, /* request {text server_name} -> {u8 found, u32 n, n * chain{u32 m, m * slice DER}} */
    KEYS_SIGN = 2,     /* request {struct keys_sign} -> {u8 ok, slice signature} */
    KEYS_CHANGED = 3,  /* notice {} from keys: ask for the identities anew */
};

#define KEYS_ID_SIZE 32         /* SHA-256 of the public key's SubjectPublicKeyInfo */
#define KEYS_SIGN_LIMIT 20000   /* bytes of a SIGN request */
#define KEYS_NAME_LIMIT 300     /* bytes of an IDENTITY request */
#define KEYS_IDENTITY_LIMIT (4u * 1024 * 1024)

enum keys_padding { KEYS_PADDING_NONE = 0, KEYS_PADDING_PKCS1 = 1, KEYS_PADDING_PSS = 2 };

struct keys_sign {
    const unsigned char *id; /* KEYS_ID_SIZE bytes */
    uint8_t padding;         /* of RSA */
    char *digest;            /* "SHA256"; "" for Ed25519 */
    struct slice message;    /* all that is signed, not its digest */
};

void keys_sign_encode(const struct keys_sign *sign, struct str *out);
bool keys_sign_decode(struct slice body, struct arena *arena, struct keys_sign *sign) MUST_CHECK;

/* Certificates of one key, the server's own first, as DER. */
struct keys_chain {
    struct slice *certificates;
    size_t count;
};
struct keys_identity {
    bool found; /* false: no certificates for this name (or, for "", none at all) */
    struct keys_chain *chains;
    size_t count;
};
void keys_identity_encode(const struct keys_identity *identity, struct str *out);
bool keys_identity_decode(struct slice body, struct arena *arena, struct keys_identity *identity) MUST_CHECK;

/* Is this what a TLS server signs: the CertificateVerify of TLS 1.3 (RFC 8446 4.4.3) or the ServerKeyExchange of
 * TLS 1.2 and before (RFC 8422 5.4, RFC 5246 7.4.3)? Pure; fuzzed. */
bool keys_message_is_handshake(struct slice message);

#endif
