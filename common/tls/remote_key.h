/* SPDX-License-Identifier: ISC */
/*
 * Keys that live elsewhere: to OpenSSL an EVP_PKEY like any other, but only its public half is here. Whatever is to be
 * signed goes through a function that may wait on the session's fiber.
 */
#ifndef POSTHORN_TLS_REMOTE_KEY_H
#define POSTHORN_TLS_REMOTE_KEY_H

#include <openssl/evp.h>

#include "common/base/status.h"
#include "common/tls/keys_protocol.h"

/* Appends the signature; false when there is none. */
typedef bool remote_key_signer(const struct keys_sign *sign, struct str *signature);

/* Once a process, before confinement: makes the provider known to OpenSSL. */
void remote_key_init(remote_key_signer *signer);
/* For tests, which look at what memory is left at their end. All keys must be gone. */
void remote_key_end(void);
/* For the public key of a certificate; the caller frees it. NULL: an algorithm that servers do not sign with. */
EVP_PKEY *remote_key_new(EVP_PKEY *public_key) MUST_CHECK;
/* SHA-256 of the SubjectPublicKeyInfo: by this name keys knows it. */
bool remote_key_id(EVP_PKEY *key, unsigned char id[KEYS_ID_SIZE]) MUST_CHECK;

#endif
