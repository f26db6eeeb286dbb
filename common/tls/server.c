/* SPDX-License-Identifier: ISC */
/*
 * server: handshakes and encrypted streams. Called by the listener's sessions. Holds certificates and session keys, and no
 * private key: signatures come from keys while the session's fiber waits inside OpenSSL. OpenSSL's error queue
 * belongs to the thread, so it is emptied before each call and read before the next wait.
 */
#include "common/tls/server.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role.h"
#include "common/tls/context.h"
#include "common/tls/describe.h"
#include "common/tls/keys_client.h"
#include "common/tls/server_names.h"
#include "common/tls/session.h"

#define FIRST_WAIT_S 5
#define ASK_TIMEOUT_S 20
#define ASK_AGAIN_S 5

static struct {
    struct tls_settings settings;
    SSL_CTX *context; /* NULL: no handshake now */
    bool asking, ask_again;
    struct fiber_cond asked;
    int session_index;
} server;

const struct tls_settings *tls_server_settings(void)
{
    return &server.settings;
}

struct tls_session *tls_session_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, server.session_index);
}

bool tls_server_is_ready(void)
{
    return server.context != NULL;
}

/* --- certificates ---------------------------------------------------------------------------------------- */

static void adopt(const struct keys_identity *identity)
{
    SSL_CTX *context = NULL;
    if (identity->found || server.settings.is_anonymous)
        context = tls_context_new(&server.settings, identity);
    else
        log_warning("No server certs available. TLS won't be enabled");
    if (context == NULL)
        return; /* what there was goes on */
    SSL_CTX_free(server.context);
    server.context = context;
    if (server.settings.uses_server_names)
        server_names_install(context);
}

static bool ask_once(void)
{
    struct arena *arena = arena_new();
    struct keys_identity identity = {0};
    bool answered = keys_client_identity("", deadline_in_s(ASK_TIMEOUT_S), arena, &identity);
    if (answered)
        adopt(&identity);
    arena_free(arena);
    return answered;
}

static void ask_fiber(void *arg UNUSED)
{
    do {
        server.ask_again = false;
        while (!ask_once())
            if (fiber_sleep_until(deadline_in_s(ASK_AGAIN_S)) != WAIT_OK)
                break;
        fiber_cond_broadcast(&server.asked);
    } while (server.ask_again);
    server.asking = false;
}

/* keys was restarted, or has new certificates. */
static void ask_for_certificates(void)
{
    if (!server.settings.works)
        return;
    server_names_forget();
    server.ask_again = true;
    if (server.asking)
        return;
    server.asking = true;
    fiber_spawn("certificates", ask_fiber, NULL);
}

const struct ipc_edge *tls_server_edge(void)
{
    return keys_client_edge(ask_for_certificates);
}

void tls_server_peer_opened(void)
{
    ask_for_certificates();
}

void tls_server_open(const struct config *config, const char *service)
{
    tls_settings_read(&server.settings, config, service);
    if (!server.settings.works)
        return;
    remote_key_init(keys_client_sign);
    server.session_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    /* The random generator and tables of algorithms are made on first use: now, while everything is allowed. */
    struct keys_identity none = {0};
    SSL_CTX_free(tls_context_new(&server.settings, &none));
}

void tls_server_start(void)
{
    int64_t deadline = deadline_in_s(FIRST_WAIT_S);
    if (!server.settings.works)
        return;
    ask_for_certificates();
    while (server.context == NULL && server.asking)
        if (fiber_cond_wait(&server.asked, deadline) != WAIT_OK)
            return;
}

/* --- below the stream ---------------------------------------------------------------------------------------- */

/* What a failed call means. The queue was empty before. */
static ssize_t judge(struct tls_session *session, int result, int *want)
{
    int saved = errno;
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *want = FIBER_READ;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        *want = FIBER_WRITE;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        session->is_broken = true;
        errno = saved != 0 ? saved : ECONNRESET;
        return -1;
    default:
        session->is_broken = true;
        tls_log_errors();
        errno = EPROTO;
        return -1;
    }
}

static ssize_t tls_read(void *context, int fd UNUSED, void *data, size_t len, int *want)
{
    struct tls_session *session = context;
    ERR_clear_error();
    errno = 0;
    int result = SSL_read(session->ssl, data, len > INT32_MAX ? INT32_MAX : (int)len);
    return result > 0 ? result : judge(session, result, want);
}

static ssize_t tls_write(void *context, int fd UNUSED, const void *data, size_t len, int *want)
{
    struct tls_session *session = context;
    ERR_clear_error();
    errno = 0;
    int result = SSL_write(session->ssl, data, len > INT32_MAX ? INT32_MAX : (int)len);
    return result > 0 ? result : judge(session, result, want);
}

static bool tls_has_input(void *context)
{
    struct tls_session *session = context;
    char byte;
    ERR_clear_error();
    bool has = SSL_peek(session->ssl, &byte, 1) > 0;
    ERR_clear_error();
    return has;
}

static void session_free(struct tls_session *session)
{
    SSL_free(session->ssl);
    X509_free(session->bad_certificate);
    arena_free(session->arena);
    free(session);
}

static void tls_close(void *context)
{
    struct tls_session *session = context;
    ERR_clear_error();
    if (!session->is_broken && (SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN) == 0)
        (void)SSL_shutdown(session->ssl); /* the goodbye; whether it arrives is the client's concern */
    ERR_clear_error();
    session_free(session);
}

static const struct stream_transport transport = {
    .read = tls_read, .write = tls_write, .has_input = tls_has_input, .close = tls_close,
};

size_t tls_server_channel_binding(const struct stream *stream, const char **type, unsigned char data[TLS_BINDING_SIZE])
{
    const struct tls_session *session = stream->transport == &transport ? stream->transport_context : NULL;
    static const char label[] = "EXPORTER-Channel-Binding";
    if (session == NULL)
        return 0;
    if (SSL_version(session->ssl) >= TLS1_3_VERSION) {
        *type = "tls-exporter";
        return SSL_export_keying_material(session->ssl, data, 32, label, sizeof label - 1, (const unsigned char *)"", 0, 1) == 1 ? 32 : 0;
    }
    *type = "tls-unique";
    if (SSL_get_extms_support(session->ssl) != 1) /* without RFC 7627 two connections can have the same */
        return 0;
    return SSL_session_reused(session->ssl) ? SSL_get_finished(session->ssl, data, TLS_BINDING_SIZE) :
                                              SSL_get_peer_finished(session->ssl, data, TLS_BINDING_SIZE);
}

void tls_server_finish(struct stream *stream, int64_t deadline)
{
    struct tls_session *session = stream->transport == &transport ? stream->transport_context : NULL;
    int result = 0;
    if (session == NULL || !server.settings.waits_for_close || session->is_broken)
        return;
    while (result == 0) {
        ERR_clear_error();
        result = SSL_shutdown(session->ssl);
        int error = result < 0 ? SSL_get_error(session->ssl, result) : 0;
        int want = error == SSL_ERROR_WANT_WRITE ? FIBER_WRITE : FIBER_READ;
        if (error != 0 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            session->is_broken = true;
        else if (error != 0 && fiber_wait_fd(&stream->handle, want, deadline) == WAIT_OK)
            result = 0;
    }
    ERR_clear_error();
}

/* --- verification --------------------------------------------------------------------------------------------- */

/* Every handshake goes on: restrictions decide what a certificate is worth. The error nearest to the leaf is kept. */
static int note_verification(int good, X509_STORE_CTX *verification)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = tls_session_of(ssl);
    int depth = X509_STORE_CTX_get_error_depth(verification);
    X509 *certificate = X509_STORE_CTX_get_current_cert(verification);
    if (!good && (session->verify_error == X509_V_OK || depth < session->verify_depth)) {
        session->verify_error = X509_STORE_CTX_get_error(verification);
        session->verify_depth = depth;
        X509_free(session->bad_certificate);
        session->bad_certificate = certificate;
        if (certificate != NULL)
            X509_up_ref(certificate);
    } else if (!good)
        X509_STORE_CTX_set_error(verification, (int)session->verify_error);
    if ((server.settings.log & TLS_LOG_VERBOSE) != 0 && certificate != NULL) {
        char subject[256];
        X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
        text_make_printable(subject, strlen(subject));
        log_info("%s: depth=%d verify=%d subject=%s", session->client, depth, good, subject);
    }
    return 1;
}

/* --- the handshake --------------------------------------------------------------------------------------------- */

static struct tls_session *session_new(const struct stream *stream, const char *client)
{
    struct tls_session *session = mem_alloc(sizeof *session);
    session->arena = arena_new();
    session->client = arena_strdup(session->arena, client);
    session->ssl = SSL_new(server.context);
    if (session->ssl == NULL || SSL_set_ex_data(session->ssl, server.session_index, session) != 1 ||
        SSL_set_fd(session->ssl, stream->handle.fd) != 1) {
        log_warning("Could not allocate 'TLScontext->con' with SSL_new()");
        tls_log_errors();
        session_free(session);
        return NULL;
    }
    if (server.settings.asks_certificate)
        SSL_set_verify(session->ssl, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, note_verification);
    if ((server.settings.log & TLS_LOG_DEBUG) != 0)
        SSL_set_info_callback(session->ssl, tls_log_step);
    return session;
}

/* True when it is complete; otherwise errno, or OpenSSL's queue, says why. */
static bool shake_hands(struct tls_session *session, struct stream *stream, int64_t deadline)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int result = SSL_accept(session->ssl);
        if (result == 1)
            return true;
        int error = SSL_get_error(session->ssl, result);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            return false;
        enum wait_status status = fiber_wait_fd(&stream->handle, error == SSL_ERROR_WANT_READ ? FIBER_READ : FIBER_WRITE,
                                                deadline);
        ERR_clear_error();
        if (status != WAIT_OK) {
            errno = status == WAIT_TIMEOUT ? ETIMEDOUT : ECANCELED;
            return false;
        }
    }
}

static void log_failure(const char *client)
{
    int saved = errno;
    if (ERR_peek_error() != 0) {
        log_info("SSL_accept error from %s: -1", client);
        tls_log_errors();
    } else if (saved != 0) {
        errno = saved;
        log_info("SSL_accept error from %s: %m", client);
    } else
        log_info("SSL_accept error from %s: lost connection", client);
}

static void log_certificate(const struct tls_session *session)
{
    const struct tls_peer *peer = &session->peer;
    unsigned mask = server.settings.log;
    if (!peer->has_certificate)
        return;
    if ((mask & (TLS_LOG_VERBOSE | TLS_LOG_PEER_CERTIFICATE)) != 0)
        log_info("%s: subject_CN=%s, issuer=%s%s%s%s%s", session->client, peer->subject, peer->issuer,
                 *peer->fingerprint != '\0' ? ", fingerprint=" : "", peer->fingerprint,
                 *peer->public_key_fingerprint != '\0' ? ", pkey_fingerprint=" : "", peer->public_key_fingerprint);
    if (peer->is_trusted || (!server.settings.requires_certificate && (mask & TLS_LOG_UNTRUSTED) == 0))
        return;
    if (peer->is_resumed)
        log_info("%s: re-using session with untrusted certificate, look for details earlier in the log", session->client);
    else
        tls_log_verify_error(session->client, session->verify_error, session->verify_depth, session->bad_certificate);
}

bool tls_server_accept(struct stream *stream, const char *client, const struct tls_peer **peer)
{
    if ((server.settings.log & TLS_LOG_VERBOSE) != 0)
        log_info("setting up TLS connection from %s", client);
    struct tls_session *session = server.context != NULL ? session_new(stream, client) : NULL;
    if (session == NULL)
        return false;
    if ((server.settings.log & TLS_LOG_VERBOSE) != 0)
        log_info("%s: TLS cipher list \"%s\"", client, server.settings.ciphers);
    if (!shake_hands(session, stream, deadline_in_s(server.settings.handshake_seconds))) {
        log_failure(client);
        session_free(session);
        return false;
    }
    if ((server.settings.log & TLS_LOG_CACHE) != 0 && SSL_session_reused(session->ssl))
        log_info("%s: Reusing old session%s", client, session->has_ticket ? " (RFC 5077 session ticket)" : "");
    session->peer.server_name = session->requested_name;
    tls_describe(session->ssl, server.settings.digest, client, session->arena, &session->peer);
    log_certificate(session);
    if ((server.settings.log & TLS_LOG_SUMMARY) != 0)
        tls_log_summary(&session->peer, client);
    stream_set_transport(stream, &transport, session);
    *peer = &session->peer;
    fiber_trim_stack();
    return true;
}
