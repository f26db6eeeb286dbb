/* SPDX-License-Identifier: ISC */
/*
 * sign: one signature for a handshake. What is signed must have the form of a TLS handshake: a service that was taken
 * over can pose as this server while it has the channel, but it can have nothing else signed: no certificate
 * request, no revocation, no mail, and nothing is ever decrypted (key exchange with RSA is not offered).
 */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "common/base/log.h"
#include "keys/keys.h"

#define LARGEST_SIGNATURE 2048

static const EVP_MD *find_digest(const char *name)
{
    static const struct { const char *name; const EVP_MD *(*digest)(void); } digests[] = {
        {"SHA2-256", EVP_sha256}, {"SHA256", EVP_sha256}, {"SHA2-384", EVP_sha384}, {"SHA384", EVP_sha384},
        {"SHA2-512", EVP_sha512}, {"SHA512", EVP_sha512}, {"SHA2-224", EVP_sha224}, {"SHA224", EVP_sha224},
        {"SHA1", EVP_sha1}, {"MD5-SHA1", EVP_md5_sha1}, /* TLS 1.0 and 1.1, where main.cf allows them */
    };
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        if (text_equal_nocase(name, digests[i].name))
            return digests[i].digest();
    return NULL;
}

static bool set_padding(EVP_PKEY_CTX *context, uint8_t padding)
{
    if (padding == KEYS_PADDING_PSS)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
    return padding != KEYS_PADDING_PKCS1 || EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
}

bool sign_message(EVP_PKEY *key, const struct keys_sign *sign, struct str *signature)
{
    unsigned char bytes[LARGEST_SIGNATURE];
    size_t len = sizeof bytes;
    const EVP_MD *digest = *sign->digest != '\0' ? find_digest(sign->digest) : NULL;
    EVP_PKEY_CTX *context = NULL;
    if (!keys_message_is_handshake(sign->message) || (*sign->digest != '\0' && digest == NULL) ||
        EVP_PKEY_get_size(key) > LARGEST_SIGNATURE || (EVP_PKEY_is_a(key, "RSA") == 1) != (sign->padding != KEYS_PADDING_NONE))
        return false;
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    bool good = state != NULL && EVP_DigestSignInit(state, &context, digest, NULL, key) == 1 &&
                set_padding(context, sign->padding) &&
                EVP_DigestSign(state, bytes, &len, (const unsigned char *)sign->message.data, sign->message.len) == 1;
    if (good)
        str_append_bytes(signature, bytes, len);
    EVP_MD_CTX_free(state);
    ERR_clear_error();
    return good;
}
