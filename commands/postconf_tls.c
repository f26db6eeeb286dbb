/* SPDX-License-Identifier: ISC */
/* postconf_tls: -T says which TLS library this build has and what it can do. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>
#include <stdlib.h>

#include "commands/postconf.h"
#include "common/base/log.h"

/* Of the algorithms that the library knows, those that certificates are issued for, by their usual names. */
static void print_key_algorithms(void)
{
    static const struct { int id; const char *name; } algorithms[] = {
        {EVP_PKEY_DSA, "dsa"}, {EVP_PKEY_EC, "ecdsa"}, {EVP_PKEY_RSA, "rsa"}};
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (EVP_PKEY_asn1_find(NULL, algorithms[i].id) != NULL)
            puts(algorithms[i].name);
}

void postconf_show_tls(const char *mode)
{
    if (strcmp(mode, "compile-version") == 0) {
        puts(OPENSSL_VERSION_TEXT);
    } else if (strcmp(mode, "run-version") == 0) {
        puts(OpenSSL_version(OPENSSL_VERSION));
    } else if (strcmp(mode, "public-key-algorithms") == 0) {
        print_key_algorithms();
    } else {
        log_warning("unknown 'postconf -T' mode: %s", mode);
        exit(1);
    }
}
