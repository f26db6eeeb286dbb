/* SPDX-License-Identifier: ISC */
/*
 * remote_key: an OpenSSL provider with key management and signatures for keys whose private half is in another process
 * (keys). Its EVP_PKEYs wrap the public key of the default provider and answer every question from that; only
 * signing differs. A key cannot be exported with its private half, so OpenSSL never tries to sign by itself.
 */
#include "common/tls/remote_key.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define PROPERTIES "provider=posthorn"
#define DEFAULT_PROPERTIES "provider!=posthorn"

struct remote_key {
    const char *type;
    EVP_PKEY *public_key; /* NULL until imported */
    unsigned char id[KEYS_ID_SIZE];
};

static remote_key_signer *sign_remotely;

bool remote_key_id(EVP_PKEY *key, unsigned char id[KEYS_ID_SIZE])
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    bool good = len > 0 && EVP_Digest(der, (size_t)len, id, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return good;
}

/* --- key management --------------------------------------------------------------------------------- */

static void *key_new(const char *type)
{
    struct remote_key *key = mem_alloc(sizeof *key);
    key->type = type;
    return key;
}

static void *key_new_rsa(void *provider UNUSED) { return key_new("RSA"); }
static void *key_new_ec(void *provider UNUSED) { return key_new("EC"); }
static void *key_new_ed25519(void *provider UNUSED) { return key_new("ED25519"); }
static void *key_new_ed448(void *provider UNUSED) { return key_new("ED448"); }

static void key_free(void *data)
{
    struct remote_key *key = data;
    if (key == NULL)
        return;
    EVP_PKEY_free(key->public_key);
    free(key);
}

static int key_has(const void *data, int selection UNUSED)
{
    const struct remote_key *key = data;
    return key->public_key != NULL; /* the private half too, as far as anybody can tell */
}

static int key_match(const void *one, const void *other, int selection UNUSED)
{
    const struct remote_key *a = one, *b = other;
    return a->public_key != NULL && b->public_key != NULL && EVP_PKEY_eq(a->public_key, b->public_key) == 1;
}

static int key_import(void *data, int selection UNUSED, const OSSL_PARAM params[])
{
    struct remote_key *key = data;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, key->type, DEFAULT_PROPERTIES);
    bool good = context != NULL && key->public_key == NULL && EVP_PKEY_fromdata_init(context) == 1 &&
                EVP_PKEY_fromdata(context, &key->public_key, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) == 1 &&
                remote_key_id(key->public_key, key->id);
    EVP_PKEY_CTX_free(context);
    return good;
}

static int key_export(void *data, int selection, OSSL_CALLBACK *callback, void *context)
{
    const struct remote_key *key = data;
    OSSL_PARAM *params = NULL;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 || key->public_key == NULL ||
        EVP_PKEY_todata(key->public_key, EVP_PKEY_PUBLIC_KEY, &params) != 1)
        return 0;
    int result = callback(params, context);
    OSSL_PARAM_free(params);
    return result;
}

static const OSSL_PARAM *key_types(int selection UNUSED)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_END,
    };
    return types;
}

static int key_get_params(void *data, OSSL_PARAM params[])
{
    const struct remote_key *key = data;
    return key->public_key != NULL && EVP_PKEY_get_params(key->public_key, params) == 1;
}

static const OSSL_PARAM *key_gettable(void *provider UNUSED)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_END,
    };
    return gettable;
}

/* EC keys sign with ECDSA; the others give the algorithm their own name. */
static const char *ec_operation(int operation UNUSED)
{
    return "ECDSA";
}

typedef void (*any_function)(void);
#define FUNCTION(id, function) {id, (any_function)(function)}
#define KEY_FUNCTIONS(new_key)                                                                        \
    FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new_key), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),             \
    FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),           \
    FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import), FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types), \
    FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export), FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types), \
    FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                           \
    FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable)

static const OSSL_DISPATCH rsa_functions[] = {KEY_FUNCTIONS(key_new_rsa), {0, NULL}};
static const OSSL_DISPATCH ed25519_functions[] = {KEY_FUNCTIONS(key_new_ed25519), {0, NULL}};
static const OSSL_DISPATCH ed448_functions[] = {KEY_FUNCTIONS(key_new_ed448), {0, NULL}};
static const OSSL_DISPATCH ec_functions[] = {
    KEY_FUNCTIONS(key_new_ec), FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation), {0, NULL}};

static const OSSL_ALGORITHM key_algorithms[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_functions, NULL},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_functions, NULL},
    {"ED25519:1.3.101.112", PROPERTIES, ed25519_functions, NULL},
    {"ED448:1.3.101.113", PROPERTIES, ed448_functions, NULL},
    {NULL, NULL, NULL, NULL},
};

/* --- signatures --------------------------------------------------------------------------------------- */

struct signature {
    struct remote_key *key;
    char digest[32];
    uint8_t padding;
};

static void *signature_new(void *provider UNUSED, const char *properties UNUSED)
{
    return mem_alloc(sizeof(struct signature));
}

static void signature_free(void *context)
{
    free(context);
}

static int read_padding(const OSSL_PARAM *param, uint8_t *padding)
{
    int number = 0;
    const char *text = NULL;
    if (param->data_type == OSSL_PARAM_UTF8_STRING)
        number = OSSL_PARAM_get_utf8_string_ptr(param, &text) != 1 || text == NULL ? 0 :
                 strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0 ? RSA_PKCS1_PSS_PADDING :
                 strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0 ? RSA_PKCS1_PADDING : 0;
    else if (OSSL_PARAM_get_int(param, &number) != 1)
        return 0;
    if (number != RSA_PKCS1_PSS_PADDING && number != RSA_PKCS1_PADDING)
        return 0;
    *padding = number == RSA_PKCS1_PSS_PADDING ? KEYS_PADDING_PSS : KEYS_PADDING_PKCS1;
    return 1;
}

/* The length of the salt is not asked for: TLS knows one only, that of the digest. */
static int signature_set_params(void *context, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    const OSSL_PARAM *padding = params != NULL ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    return padding == NULL || read_padding(padding, &signature->padding);
}

static const OSSL_PARAM *signature_settable(void *context UNUSED, void *provider UNUSED)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    return settable;
}

static int sign_init(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    size_t len = digest != NULL ? strlen(digest) : 0;
    if (key == NULL || len >= sizeof signature->digest)
        return 0;
    signature->key = key;
    signature->padding = strcmp(signature->key->type, "RSA") == 0 ? KEYS_PADDING_PKCS1 : KEYS_PADDING_NONE;
    memcpy(signature->digest, digest != NULL ? digest : "", len + 1);
    return signature_set_params(context, params);
}

static int sign_message(void *context, unsigned char *out, size_t *len, size_t room, const unsigned char *message,
                        size_t message_len)
{
    struct signature *signature = context;
    struct str answer = STR_EMPTY;
    if (out == NULL) {
        int size = EVP_PKEY_get_size(signature->key->public_key);
        *len = size > 0 ? (size_t)size : 0;
        return size > 0;
    }
    struct keys_sign sign = {signature->key->id, signature->padding, signature->digest,
                             slice_range((const char *)message, message_len)};
    bool good = sign_remotely(&sign, &answer) && answer.len <= room;
    if (good) {
        memcpy(out, answer.data, answer.len);
        *len = answer.len;
    }
    str_free(&answer);
    ERR_clear_error(); /* the queue is the thread's: other sessions ran meanwhile */
    return good;
}

static const OSSL_DISPATCH signature_functions[] = {
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signature_new),
    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signature_free),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_init),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign_message),
    FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signature_set_params),
    FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_settable),
    {0, NULL},
};

static const OSSL_ALGORITHM signature_algorithms[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signature_functions, NULL},
    {"ECDSA", PROPERTIES, signature_functions, NULL},
    {"ED25519:1.3.101.112", PROPERTIES, signature_functions, NULL},
    {"ED448:1.3.101.113", PROPERTIES, signature_functions, NULL},
    {NULL, NULL, NULL, NULL},
};

/* --- the provider ---------------------------------------------------------------------------------------- */

static const OSSL_ALGORITHM *provider_query(void *provider UNUSED, int operation, int *no_cache)
{
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? key_algorithms : operation == OSSL_OP_SIGNATURE ? signature_algorithms : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in UNUSED, const OSSL_DISPATCH **out,
                         void **context)
{
    static const OSSL_DISPATCH functions[] = {FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query), {0, NULL}};
    *out = functions;
    *context = (void *)handle;
    return 1;
}

static OSSL_PROVIDER *usual, *ours;

void remote_key_init(remote_key_signer *signer)
{
    sign_remotely = signer;
    if (ours != NULL)
        return;
    /* The default one first: it answers whoever asks for an algorithm without saying whose. */
    if ((usual = OSSL_PROVIDER_load(NULL, "default")) == NULL ||
        OSSL_PROVIDER_add_builtin(NULL, "posthorn", provider_init) != 1 ||
        (ours = OSSL_PROVIDER_load(NULL, "posthorn")) == NULL)
        log_fatal("cannot prepare OpenSSL for keys in another process");
}

void remote_key_end(void)
{
    if (ours == NULL)
        return;
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(usual);
    ours = usual = NULL;
}

EVP_PKEY *remote_key_new(EVP_PKEY *public_key)
{
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    const char *type = EVP_PKEY_get0_type_name(public_key);
    EVP_PKEY_CTX *context = type != NULL ? EVP_PKEY_CTX_new_from_name(NULL, type, PROPERTIES) : NULL;
    if (context == NULL || EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &params) != 1 ||
        EVP_PKEY_fromdata_init(context) != 1 || EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(context);
    return key;
}
