/* SPDX-License-Identifier: ISC */
/*
 * What main.cf and master.cf say about TLS on the server side, as far as the supervisor and keys need it: which services
 * speak TLS, and which files hold their certificates and keys. No OpenSSL: the supervisor opens those files and
 * passes the descriptors on, it never looks into them.
 */
#ifndef POSTHORN_TLS_CREDENTIALS_H
#define POSTHORN_TLS_CREDENTIALS_H

#include "common/base/arena.h"
#include "common/config/config.h"

/* One server certificate, or several, with keys. */
enum tls_credential_kind {
    CREDENTIAL_CHAIN, /* files that hold "key, its certificate, chain" once or more often, in this order */
    CREDENTIAL_PAIR,  /* {certificate file, key file} */
    CREDENTIAL_TABLE, /* one file that postmap -F built: names, and chains inside */
};
struct tls_credential {
    char *server_name; /* "": what clients get that name no server, or an unknown one */
    enum tls_credential_kind kind;
    char **files;
    size_t file_count;
};

/* Services with the same certificates share a set. */
struct tls_credential_set {
    char **services;
    size_t service_count;
    struct tls_credential *list;
    size_t count;
};

struct tls_credentials {
    struct tls_credential_set *sets;
    size_t count;
    char **sources; /* files whose change may change all this: what belongs to tls_server_sni_maps */
    size_t source_count;
};

/* Adds one service with its configuration. Reads the texts of tls_server_sni_maps; what is wrong there is a warning and
 * left out. Memory from the arena. */
void tls_credentials_add(struct tls_credentials *credentials, struct arena *arena, const struct config *config,
                         const char *service);

void tls_credentials_encode(const struct tls_credentials *credentials, struct str *out); /* without the sources */
bool tls_credentials_decode(struct slice body, struct arena *arena, struct tls_credentials *credentials) MUST_CHECK;

#endif
