/* SPDX-License-Identifier: ISC */
/* describe: protocol, cipher, signatures and certificates as texts. Whatever comes from a client's certificate is checked for
 * control characters here, once, so that readers of struct tls_peer need not. */
#include "common/tls/describe.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/base/log.h"

#define LONGEST_NAME 256

void tls_log_errors(void)
{
    const char *file, *data;
    int line, flags;
    unsigned long code;
    while ((code = ERR_get_error_all(&file, &line, NULL, &data, &flags)) != 0) {
        char text[256];
        ERR_error_string_n(code, text, sizeof text);
        if ((flags & ERR_TXT_STRING) != 0 && *data != '\0')
            log_warning("TLS library problem: %s:%s:%d:%s:", text, file, line, data);
        else
            log_warning("TLS library problem: %s:%s:%d:", text, file, line);
    }
}

/* --- certificates --------------------------------------------------------------------------------------- */

/* One part of a name; "" when it is not there, or is nothing to show. */
static const char *name_part(const X509_NAME *name, int nid, const char *what, const char *client, struct arena *arena)
{
    int at = X509_NAME_get_index_by_NID((X509_NAME *)name, nid, -1);
    const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(name, at) : NULL;
    unsigned char *utf8 = NULL;
    int len = entry != NULL ? ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry)) : -1;
    const char *text = "";
    while (len > 0 && utf8[len - 1] == '\0')
        len--;
    bool printable = len >= 0;
    for (int i = 0; i < len; i++)
        printable = printable && utf8[i] >= ' ' && utf8[i] != 127;
    if (len >= LONGEST_NAME)
        log_warning("%s: peer %s too long: %d", client, what, len);
    else if (len >= 0 && !printable)
        log_warning("%s: non-printable content in peer %s", client, what);
    else if (len > 0)
        text = arena_strndup(arena, (const char *)utf8, (size_t)len);
    OPENSSL_free(utf8);
    return text;
}

/* "AA:BB:CC", as check_ccert_access and relay_clientcerts expect it. */
static const char *encode_hash(const unsigned char *hash, unsigned size, struct arena *arena)
{
    static const char hex[] = "0123456789ABCDEF";
    char *text = arena_alloc(arena, size * 3 + 1);
    for (unsigned i = 0; i < size; i++) {
        text[i * 3] = hex[hash[i] >> 4];
        text[i * 3 + 1] = hex[hash[i] & 15];
        text[i * 3 + 2] = i + 1 < size ? ':' : '\0';
    }
    return text;
}

static const char *fingerprint(unsigned char *der, int len, const char *digest, struct arena *arena)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    bool good = len > 0 && EVP_Digest(der, (size_t)len, hash, &size, EVP_get_digestbyname(digest), NULL) == 1;
    OPENSSL_free(der);
    return good ? encode_hash(hash, size, arena) : "";
}

static void describe_certificate(X509 *certificate, const char *digest, const char *client, struct arena *arena,
                                 struct tls_peer *peer)
{
    const X509_NAME *issuer = X509_get_issuer_name(certificate);
    unsigned char *der = NULL;
    peer->has_certificate = true;
    peer->subject = name_part(X509_get_subject_name(certificate), NID_commonName, "subject CN", client, arena);
    peer->issuer = name_part(issuer, NID_commonName, "issuer CN", client, arena);
    if (*peer->issuer == '\0')
        peer->issuer = name_part(issuer, NID_organizationName, "issuer Organization", client, arena);
    int len = i2d_X509(certificate, &der);
    peer->fingerprint = fingerprint(der, len, digest, arena);
    der = NULL;
    len = i2d_PUBKEY(X509_get0_pubkey(certificate), &der);
    peer->public_key_fingerprint = fingerprint(der, len, digest, arena);
}

/* --- TLS 1.3: what the cipher's name does not say ----------------------------------------------------------- */

static void add_curve(EVP_PKEY *key, struct str *text)
{
    char group[64] = "";
    size_t len;
    if (EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1)
        str_printf(text, " (%s)", group);
}

static void add_key_exchange(SSL *ssl, struct str *text)
{
    EVP_PKEY *key = NULL;
    if (SSL_get_peer_tmp_key(ssl, &key) != 1 || key == NULL) {
        ERR_clear_error();
        return;
    }
    if (EVP_PKEY_is_a(key, "EC")) {
        str_append(text, " key-exchange ECDHE");
        add_curve(key, text);
    } else if (EVP_PKEY_is_a(key, "DH"))
        str_printf(text, " key-exchange DHE (%d bits)", EVP_PKEY_get_bits(key));
    else
        str_printf(text, " key-exchange %s", EVP_PKEY_get0_type_name(key));
    EVP_PKEY_free(key);
}

static void add_signature(const char *who, EVP_PKEY *key, int digest_nid, struct str *text)
{
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        str_printf(text, " %s-signature RSA-PSS (%d bits)", who, EVP_PKEY_get_bits(key));
    else if (EVP_PKEY_is_a(key, "EC")) {
        str_printf(text, " %s-signature ECDSA", who);
        add_curve(key, text);
    } else
        str_printf(text, " %s-signature %s", who, EVP_PKEY_get0_type_name(key));
    if (digest_nid != NID_undef)
        str_printf(text, " %s-digest %s", who, OBJ_nid2sn(digest_nid));
}

static const char *make_details(SSL *ssl, struct arena *arena)
{
    struct str text = STR_EMPTY;
    int nid = NID_undef;
    EVP_PKEY *key = SSL_get_privatekey(ssl);
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (SSL_version(ssl) < TLS1_3_VERSION)
        return "";
    add_key_exchange(ssl, &text);
    if (!SSL_session_reused(ssl) && key != NULL) {
        if (SSL_get_signature_nid(ssl, &nid) != 1)
            nid = NID_undef;
        add_signature("server", key, nid, &text);
    }
    if (!SSL_session_reused(ssl) && certificate != NULL) {
        if (SSL_get_peer_signature_nid(ssl, &nid) != 1)
            nid = NID_undef;
        add_signature("client", X509_get0_pubkey(certificate), nid, &text);
    }
    const char *copy = text.len > 0 ? arena_slice(arena, str_slice(&text)) : "";
    str_free(&text);
    return copy;
}

void tls_describe(SSL *ssl, const char *digest, const char *client, struct arena *arena, struct tls_peer *peer)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    peer->protocol = SSL_get_version(ssl);
    peer->cipher = SSL_CIPHER_get_name(cipher);
    peer->cipher_bits_used = SSL_CIPHER_get_bits(cipher, &peer->cipher_bits_total);
    peer->is_resumed = SSL_session_reused(ssl) == 1;
    if (peer->server_name == NULL)
        peer->server_name = "";
    peer->subject = peer->issuer = peer->fingerprint = peer->public_key_fingerprint = "";
    if (certificate != NULL) {
        describe_certificate(certificate, digest, client, arena, peer);
        peer->is_trusted = SSL_get_verify_result(ssl) == X509_V_OK;
    }
    peer->details = make_details(ssl, arena);
    ERR_clear_error();
}

/* --- the log ---------------------------------------------------------------------------------------------------- */

void tls_log_summary(const struct tls_peer *peer, const char *client)
{
    log_info("%s TLS connection established from %s%s%s: %s with cipher %s (%d/%d bits)%s",
             !peer->has_certificate ? "Anonymous" : peer->is_trusted ? "Trusted" : "Untrusted", client,
             *peer->server_name != '\0' ? " to " : "", peer->server_name, peer->protocol, peer->cipher,
             peer->cipher_bits_used, peer->cipher_bits_total, peer->details);
}

void tls_log_verify_error(const char *client, long error, int depth, const X509 *certificate)
{
    const char *purpose = depth > 0 ? "CA" : "client";
    char issuer[LONGEST_NAME] = "<unknown>";
    switch (error) {
    case X509_V_OK:
        return;
    case X509_V_ERR_CERT_UNTRUSTED:
        log_info("certificate verification failed for %s: not trusted by local or TLSA policy", client);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        log_info("certificate verification failed for %s: self-signed certificate", client);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        if (certificate != NULL)
            X509_NAME_oneline(X509_get_issuer_name(certificate), issuer, sizeof issuer);
        text_make_printable(issuer, strlen(issuer));
        log_info("certificate verification failed for %s: untrusted issuer %s", client, issuer);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
        log_info("%s certificate verification failed for %s: certificate not yet valid", purpose, client);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
        log_info("%s certificate verification failed for %s: certificate has expired", purpose, client);
        return;
    case X509_V_ERR_INVALID_PURPOSE:
        log_info("%s certificate verification failed for %s: not designated for use as a %s certificate", purpose, client,
                 purpose);
        return;
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        log_info("certificate verification failed for %s: certificate chain longer than limit(%d)", client, depth - 1);
        return;
    default:
        log_info("%s certificate verification failed for %s: num=%ld:%s", purpose, client, error,
                 X509_verify_cert_error_string(error));
    }
}

void tls_log_step(const SSL *ssl, int where, int result)
{
    if ((where & SSL_CB_LOOP) != 0)
        log_info("SSL_accept:%s", SSL_state_string_long(ssl));
    else if ((where & SSL_CB_ALERT) != 0) {
        if ((result & 0xff) != SSL3_AD_CLOSE_NOTIFY)
            log_info("SSL3 alert %s:%s:%s", (where & SSL_CB_READ) != 0 ? "read" : "write",
                     SSL_alert_type_string_long(result), SSL_alert_desc_string_long(result));
    } else if ((where & SSL_CB_EXIT) != 0 && result == 0)
        log_info("SSL_accept:failed in %s", SSL_state_string_long(ssl));
    else if ((where & SSL_CB_EXIT) != 0 && result < 0 && !SSL_want_read(ssl) && !SSL_want_write(ssl))
        log_info("SSL_accept:error in %s", SSL_state_string_long(ssl));
}
