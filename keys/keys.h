/* SPDX-License-Identifier: ISC */
/*
 * Inside keys: files become chains (pem.c, built_table.c), chains become what a service may use (store.c), and what a
 * service wants signed is signed (sign.c). Certificates and keys live here as long as the process.
 */
#ifndef POSTHORN_KEYS_KEYS_H
#define POSTHORN_KEYS_KEYS_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/tls/credentials.h"
#include "common/tls/keys_protocol.h"

/* --- pem.c: pure ----------------------------------------------------------------------------------- */

/* What a file holds, in its order. Exactly one of the two is set. */
struct pem_item {
    EVP_PKEY *key;
    X509 *certificate;
};
struct pem_file {
    struct pem_item *items;
    size_t count;
    char *problem; /* why it is not whole; NULL when it is */
};
void pem_parse(struct slice text, struct pem_file *file);
void pem_free(struct pem_file *file);

/* A key with its certificates, the server's own first. */
struct chain {
    EVP_PKEY *key;
    X509 **certificates;
    size_t count;
    unsigned char id[KEYS_ID_SIZE];
};
void chain_free(struct chain *chain);

/* From files to chains: {certificate file, key file}, or one text cut into several files. *problem (malloc'd) says in
 * words why there are none. */
bool pem_make_pair(const struct pem_file *certificates, const struct pem_file *key, struct chain **chains, size_t *count,
                   char **problem) MUST_CHECK;
bool pem_make_chains(const struct pem_file *const *files, size_t file_count, struct chain **chains, size_t *count,
                     char **problem) MUST_CHECK;

/* --- built_table.c: pure ------------------------------------------------------------------------------- */

typedef void built_table_visitor(void *context, struct slice key, struct slice value);
/* Every entry of a .lmdb or .cdb file. False: it is damaged, or something else; some entries may have been visited. */
bool built_table_walk(struct slice file, built_table_visitor *visit, void *context) MUST_CHECK;

/* --- store.c, store_find.c ----------------------------------------------------------------------------- */

/* A new list of what to hold, in force when its files are there: what it has in common with the old one stays in use.
 * False: malformed. */
bool store_set_plan(struct slice body) MUST_CHECK;
/* The content of one file of the plan, or why it could not be opened; the descriptor is closed. */
void store_take_file(const char *path, int error, int fd);
/* All files came. True when what services see has changed. */
bool store_settle(void);
/* Something is not whole, or does not belong together, and the admin has not been told. */
bool store_has_news(void);
void store_report(void);

/* Certificates for a name ("": the default ones) of a service. False: there are none. True without any: there are, but
 * they cannot be used. */
bool store_find(const char *service, const char *server_name, const struct chain ***chains, size_t *count);
/* A key that this service may use now, or used until a short while ago; NULL when there is none. */
EVP_PKEY *store_find_key(const char *service, const unsigned char id[KEYS_ID_SIZE]);
/* Forgets keys that were replaced some time ago. */
void store_forget_retired(void);

typedef void store_visitor(const char *file, const X509 *certificate);
/* Every server certificate in use, with the file it came from. */
void store_walk(store_visitor *visit);

/* --- sign.c --------------------------------------------------------------------------------------------- */

/* Appends the signature; false when this is nothing that keys signs, or the key cannot. */
bool sign_message(EVP_PKEY *key, const struct keys_sign *sign, struct str *signature) MUST_CHECK;

/* --- expiry.c ------------------------------------------------------------------------------------------- */

/* Warns, once a day, of certificates that end within two weeks. Never returns. */
void expiry_fiber(void *arg);
/* There are new ones: look at once. */
void expiry_look(void);

#endif
