/* SPDX-License-Identifier: ISC */
/* context: turns settings and certificates into an SSL_CTX. Called at start and when certificates changed; sessions keep the
 * one they began with. Opens nothing. */
#include "common/tls/context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "common/base/log.h"
#include "common/tls/describe.h"
#include "common/tls/remote_key.h"
#include "common/tls/ticket.h"

#define KEPT_SESSIONS 20000 /* smtpd_tls_session_cache_database */

/* --- certificates ------------------------------------------------------------------------------------ */

struct parsed_chain {
    X509 *certificate;
    STACK_OF(X509) *others;
    EVP_PKEY *key;
};

static void chain_free(struct parsed_chain *chain)
{
    X509_free(chain->certificate);
    sk_X509_pop_free(chain->others, X509_free);
    EVP_PKEY_free(chain->key);
}

static bool chain_parse(const struct keys_chain *from, struct parsed_chain *chain)
{
    *chain = (struct parsed_chain){.others = sk_X509_new_null()};
    for (size_t i = 0; i < from->count; i++) {
        const unsigned char *at = (const unsigned char *)from->certificates[i].data;
        X509 *certificate = d2i_X509(NULL, &at, (long)from->certificates[i].len);
        if (certificate == NULL)
            return false;
        if (i == 0)
            chain->certificate = certificate;
        else if (sk_X509_push(chain->others, certificate) <= 0) {
            X509_free(certificate);
            return false;
        }
    }
    EVP_PKEY *public_key = chain->certificate != NULL ? X509_get0_pubkey(chain->certificate) : NULL;
    chain->key = public_key != NULL ? remote_key_new(public_key) : NULL;
    return chain->key != NULL;
}

static bool use_identity(SSL_CTX *context, SSL *ssl, const struct keys_identity *identity)
{
    size_t used = 0;
    for (size_t i = 0; i < identity->count; i++) {
        struct parsed_chain chain;
        bool good = chain_parse(&identity->chains[i], &chain) &&
            (ssl != NULL ? SSL_use_cert_and_key(ssl, chain.certificate, chain.key, chain.others, 1)
                         : SSL_CTX_use_cert_and_key(context, chain.certificate, chain.key, chain.others, 1)) == 1;
        if (!good) {
            log_warning("cannot use a server certificate that keys has");
            tls_log_errors();
        }
        used += good;
        chain_free(&chain);
    }
    return used > 0 || identity->count == 0;
}

bool tls_context_set_identity(SSL *ssl, const struct keys_identity *identity)
{
    SSL_certs_clear(ssl);
    return use_identity(NULL, ssl, identity);
}

/* --- clients' certificates ------------------------------------------------------------------------------ */

/* smtpd_tls_* for clients whose certificate was made for servers only (tls_trust_server_ccerts). */
static int verify_server_certificate(X509_STORE_CTX *verification, void *unused UNUSED)
{
    X509 *certificate = X509_STORE_CTX_get0_cert(verification);
    uint32_t usage = certificate != NULL ? X509_get_extended_key_usage(certificate) : UINT32_MAX;
    if (usage != UINT32_MAX && (usage & XKU_SSL_SERVER) != 0 && (usage & XKU_SSL_CLIENT) == 0) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(verification);
        X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
        X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_SERVER);
    }
    return X509_verify_cert(verification);
}

static void set_verification(SSL_CTX *context, const struct tls_settings *settings)
{
    SSL_CTX_set_verify_depth(context, settings->verify_depth + 1);
    if (settings->authorities != NULL)
        SSL_CTX_set1_cert_store(context, settings->authorities);
    else /* else each handshake would look for the issuers of our own certificate in an empty store */
        SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
    if (settings->authority_names != NULL)
        SSL_CTX_set_client_CA_list(context, SSL_dup_CA_list(settings->authority_names));
    if (settings->asks_certificate && settings->trusts_server_certificates)
        SSL_CTX_set_cert_verify_callback(context, verify_server_certificate, NULL);
}

/* --- sessions ---------------------------------------------------------------------------------------------- */

/* A session belongs to the service that began it, whatever a client says. */
static bool set_sessions(SSL_CTX *context, const struct tls_settings *settings)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    long mode = SSL_SESS_CACHE_OFF;
    if (EVP_Digest(settings->service, strlen(settings->service), id, &size, EVP_sha256(), NULL) != 1 ||
        SSL_CTX_set_session_id_context(context, id, size) != 1)
        return false;
    if (settings->keeps_sessions) {
        mode = SSL_SESS_CACHE_SERVER;
        SSL_CTX_sess_set_cache_size(context, KEPT_SESSIONS);
    } else if (settings->issues_tickets || settings->issues_session_ids)
        mode = SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR;
    SSL_CTX_set_session_cache_mode(context, mode);
    if (settings->session_seconds > 0) /* longer than a ticket can be opened */
        SSL_CTX_set_timeout(context, (long)(2 * settings->session_seconds));
    if (settings->issues_tickets)
        tls_ticket_use(context, settings->session_seconds, (settings->log & TLS_LOG_CACHE) != 0);
    else if (!settings->keeps_sessions) /* in TLS 1.3 even a reference to a kept session is a ticket */
        SSL_CTX_set_num_tickets(context, 0);
    return true;
}

static bool set_algorithms(SSL_CTX *context, const struct tls_settings *settings)
{
    /* Postfix's lists assume level 0. Level 1 leaves out what gives less than 80 bits: anonymous and export ciphers, keys
     * below 1024 bits; a list that ends in @SECLEVEL=0 brings them back. */
    SSL_CTX_set_security_level(context, 1);
    SSL_CTX_set_options(context, settings->options);
    if (SSL_CTX_set_min_proto_version(context, settings->protocols.lowest) != 1 ||
        SSL_CTX_set_max_proto_version(context, settings->protocols.highest) != 1 ||
        SSL_CTX_set_cipher_list(context, settings->ciphers) != 1)
        return false;
    if (settings->groups != NULL && SSL_CTX_set1_groups_list(context, settings->groups) != 1)
        return false;
    if (settings->dh == NULL)
        return SSL_CTX_set_dh_auto(context, 1) == 1;
    EVP_PKEY_up_ref(settings->dh);
    return SSL_CTX_set0_tmp_dh_pkey(context, settings->dh) == 1;
}

SSL_CTX *tls_context_new(const struct tls_settings *settings, const struct keys_identity *identity)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        log_warning("cannot allocate server SSL_CTX: disabling TLS support");
        tls_log_errors();
        return NULL;
    }
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(context, 1);
    set_verification(context, settings);
    if (!set_algorithms(context, settings) || !set_sessions(context, settings)) {
        log_warning("error setting ciphers, groups or protocols: disabling TLS support");
        tls_log_errors();
        SSL_CTX_free(context);
        return NULL;
    }
    if (!use_identity(context, NULL, identity)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}
