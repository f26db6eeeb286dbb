/* SPDX-License-Identifier: ISC */
/*
 * pem: reads PEM files of certificates and keys, and puts together what belongs together. Pure: files come as text. A file
 * that somebody is writing to is "not whole", never half used. Keys with a passphrase are refused: nobody is there to ask.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/tls/remote_key.h"
#include "keys/keys.h"

#define ITEM_LIMIT 200 /* certificates and keys of one file */

static void set_problem(char **problem, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    free(*problem);
    *problem = reason != NULL ? mem_printf("%s (%s)", what, reason) : mem_strdup(what);
}

static void add_item(struct pem_file *file, EVP_PKEY *key, X509 *certificate)
{
    file->items = mem_realloc_array(file->items, file->count + 1, sizeof *file->items);
    file->items[file->count++] = (struct pem_item){key, certificate};
}

/* One block between BEGIN and END. Blocks of other kinds (parameters, requests) are none of our business. */
static bool read_block(const char *name, const char *header, const unsigned char *data, long len, struct pem_file *file)
{
    const unsigned char *at = data;
    if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0 ||
        strcmp(name, PEM_STRING_X509_TRUSTED) == 0) {
        X509 *certificate = strcmp(name, PEM_STRING_X509_TRUSTED) == 0 ? d2i_X509_AUX(NULL, &at, len) : d2i_X509(NULL, &at, len);
        if (certificate == NULL)
            return false;
        add_item(file, NULL, certificate);
        return true;
    }
    size_t name_len = strlen(name);
    if (name_len < 11 || strcmp(name + name_len - 11, "PRIVATE KEY") != 0)
        return true;
    if (*header != '\0' || strcmp(name, PEM_STRING_PKCS8) == 0) {
        set_problem(&file->problem, "its key needs a passphrase");
        return true;
    }
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, len);
    if (key == NULL)
        return false;
    add_item(file, key, NULL);
    return true;
}

void pem_parse(struct slice text, struct pem_file *file)
{
    BIO *bio = text.len > 0 && text.len < 1u << 30 ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    *file = (struct pem_file){0};
    ERR_clear_error();
    while (bio != NULL && file->problem == NULL &&
           PEM_read_bio_ex(bio, &name, &header, &data, &len, PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) == 1) {
        if (file->count >= ITEM_LIMIT || !read_block(name, header, data, len, file))
            set_problem(&file->problem, file->count >= ITEM_LIMIT ? "it holds too much" : "it is damaged");
        OPENSSL_secure_free(name);
        OPENSSL_secure_free(header);
        OPENSSL_secure_clear_free(data, (size_t)len);
    }
    unsigned long code = ERR_peek_last_error();
    if (file->problem == NULL && code != 0 && ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
        set_problem(&file->problem, "it is damaged or not whole");
    ERR_clear_error();
    if (file->problem == NULL && file->count == 0)
        set_problem(&file->problem, "it holds neither certificate nor key");
    BIO_free(bio);
}

void pem_free(struct pem_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        EVP_PKEY_free(file->items[i].key);
        X509_free(file->items[i].certificate);
    }
    free(file->items);
    free(file->problem);
    *file = (struct pem_file){0};
}

/* --- chains ---------------------------------------------------------------------------------------------- */

void chain_free(struct chain *chain)
{
    EVP_PKEY_free(chain->key);
    for (size_t i = 0; i < chain->count; i++)
        X509_free(chain->certificates[i]);
    free(chain->certificates);
    *chain = (struct chain){0};
}

static void chain_add(struct chain *chain, X509 *certificate)
{
    chain->certificates = mem_realloc_array(chain->certificates, chain->count + 1, sizeof *chain->certificates);
    chain->certificates[chain->count++] = certificate;
    X509_up_ref(certificate);
}

/* The first certificate must be the key's. */
static bool chain_complete(struct chain *chain, char **problem)
{
    ERR_clear_error();
    if (chain->key == NULL)
        set_problem(problem, "there is no key");
    else if (chain->count == 0)
        set_problem(problem, "there is no certificate");
    else if (X509_check_private_key(chain->certificates[0], chain->key) != 1)
        set_problem(problem, "the key is not that of the certificate");
    else if (!remote_key_id(chain->key, chain->id))
        set_problem(problem, "the key cannot be used");
    ERR_clear_error();
    return *problem == NULL;
}

bool pem_make_pair(const struct pem_file *certificates, const struct pem_file *key, struct chain **chains, size_t *count,
                   char **problem)
{
    struct chain chain = {0};
    *problem = NULL;
    for (size_t i = 0; i < certificates->count; i++)
        if (certificates->items[i].certificate != NULL)
            chain_add(&chain, certificates->items[i].certificate);
    for (size_t i = 0; i < key->count && chain.key == NULL; i++)
        if (key->items[i].key != NULL) {
            chain.key = key->items[i].key;
            EVP_PKEY_up_ref(chain.key);
        }
    if (!chain_complete(&chain, problem)) {
        chain_free(&chain);
        return false;
    }
    *chains = mem_realloc_array(NULL, 1, sizeof **chains);
    (*chains)[0] = chain;
    *count = 1;
    return true;
}

static bool take_item(const struct pem_item *item, struct chain **chains, size_t *count, char **problem)
{
    if (item->key != NULL) {
        if (*count > 0 && !chain_complete(&(*chains)[*count - 1], problem))
            return false;
        *chains = mem_realloc_array(*chains, *count + 1, sizeof **chains);
        (*chains)[*count] = (struct chain){.key = item->key};
        EVP_PKEY_up_ref(item->key);
        ++*count;
        return true;
    }
    if (*count == 0) {
        set_problem(problem, "the key must come before its certificate");
        return false;
    }
    chain_add(&(*chains)[*count - 1], item->certificate);
    return true;
}

bool pem_make_chains(const struct pem_file *const *files, size_t file_count, struct chain **chains, size_t *count,
                     char **problem)
{
    bool good = true;
    *chains = NULL;
    *count = 0;
    *problem = NULL;
    for (size_t i = 0; i < file_count && good; i++)
        for (size_t j = 0; j < files[i]->count && good; j++)
            good = take_item(&files[i]->items[j], chains, count, problem);
    if (good && *count == 0)
        set_problem(problem, "there is no key");
    good = good && *count > 0 && chain_complete(&(*chains)[*count - 1], problem);
    if (good)
        return true;
    for (size_t i = 0; i < *count; i++)
        chain_free(&(*chains)[i]);
    free(*chains);
    *chains = NULL;
    *count = 0;
    return false;
}
