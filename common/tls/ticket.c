/* SPDX-License-Identifier: ISC */
/* ticket: the keys of session tickets, in memory only. They come and go with the process: after a restart or reload clients
 * make one full handshake. Called by OpenSSL. */
#include "common/tls/ticket.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/tls/session.h"

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
    int64_t born; /* clock_ms(); 0: there is none */
};

static struct ticket_key current, previous;
static int64_t lifetime_ms;
static bool logs_use;

static bool rotate(void)
{
    int64_t now = clock_ms();
    if (current.born != 0 && now - current.born < lifetime_ms)
        return true;
    OPENSSL_cleanse(&previous, sizeof previous);
    if (current.born != 0 && now - current.born < 2 * lifetime_ms)
        previous = current;
    OPENSSL_cleanse(&current, sizeof current);
    if (RAND_bytes(current.name, sizeof current.name) != 1 || RAND_bytes(current.cipher, sizeof current.cipher) != 1 ||
        RAND_bytes(current.mac, sizeof current.mac) != 1)
        return false;
    current.born = now;
    return true;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static void log_use(const SSL *ssl, const char *what, const struct ticket_key *key)
{
    if (logs_use)
        log_info("%s: %s session ticket, key expiration: %lld", tls_session_of(ssl)->client, what,
                 (long long)(time(NULL) + (key->born + lifetime_ms - clock_ms()) / 1000));
}

/* 1: go on. 0: no ticket, or one that is not ours. -1: failure. A ticket that is good is not replaced by a new one. */
static int seal_or_open(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                        int seals)
{
    if (!rotate())
        return -1;
    if (seals) {
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1 || !set_mac(mac, &current) ||
            EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, current.cipher, iv) != 1)
            return -1;
        memcpy(name, current.name, sizeof current.name);
        log_use(ssl, "Issuing", &current);
        return 1;
    }
    struct ticket_key *key = memcmp(name, current.name, sizeof current.name) == 0 ? &current :
        previous.born != 0 && memcmp(name, previous.name, sizeof previous.name) == 0 ? &previous : NULL;
    if (key == NULL)
        return 0;
    if (!set_mac(mac, key) || EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1)
        return -1;
    log_use(ssl, "Decrypting", key);
    tls_session_of(ssl)->has_ticket = true;
    return 1;
}

void tls_ticket_use(SSL_CTX *context, int64_t lifetime_seconds, bool logs)
{
    logs_use = logs;
    lifetime_ms = lifetime_seconds * 1000;
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, seal_or_open);
    SSL_CTX_set_num_tickets(context, 1);
}
