/* SPDX-License-Identifier: ISC */
/*
 * server_names: called by OpenSSL in the middle of a handshake, on the session's fiber. Asks keys for a name once and
 * remembers the answer. A name that nobody has gets the default certificate; when keys cannot be asked, the handshake
 * fails rather than showing a wrong one.
 */
#include "common/tls/server_names.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/hostname.h"
#include "common/tls/context.h"
#include "common/tls/keys_client.h"
#include "common/tls/session.h"

#define ASK_TIMEOUT_S 20
#define REMEMBERED_NAMES 1000 /* then all are forgotten: whoever asks for random names costs no memory */

struct answer {
    char *name;
    struct arena *arena;
    struct keys_identity identity;
    unsigned users; /* handshakes that read it now */
    bool is_stale;
    UT_hash_handle hh;
};

static struct answer *answers;
static unsigned generation; /* of the certificates that keys holds */

static void answer_free(struct answer *answer)
{
    arena_free(answer->arena);
    free(answer->name);
    free(answer);
}

static void forget_all(void)
{
    struct answer *answer, *next;
    HASH_ITER(hh, answers, answer, next) {
        HASH_DEL(answers, answer);
        answer->is_stale = true;
        if (answer->users == 0)
            answer_free(answer);
    }
}

void server_names_forget(void)
{
    generation++;
    forget_all();
}

/* Until no change of certificates came between question and answer: an old answer would stay for good. */
static bool ask_keys(const char *name, struct answer *answer)
{
    int64_t deadline = deadline_in_s(ASK_TIMEOUT_S);
    unsigned asked_at;
    do {
        asked_at = generation;
        arena_reset(answer->arena);
        if (!keys_client_identity(name, deadline, answer->arena, &answer->identity))
            return false;
    } while (asked_at != generation);
    return true;
}

static struct answer *ask(const char *name)
{
    struct answer *answer = mem_alloc(sizeof *answer), *found;
    answer->name = mem_strdup(name);
    answer->arena = arena_new();
    bool answered = ask_keys(name, answer);
    HASH_FIND_STR(answers, name, found); /* another handshake asked at the same time */
    if (!answered || found != NULL) {
        answer_free(answer);
        return found;
    }
    if (HASH_COUNT(answers) >= REMEMBERED_NAMES)
        forget_all();
    HASH_ADD_KEYPTR(hh, answers, answer->name, strlen(answer->name), answer);
    return answer;
}

static int choose_certificate(SSL *ssl, void *unused UNUSED)
{
    struct tls_session *session = tls_session_of(ssl);
    struct answer *answer;
    bool good = true;
    if (session->requested_name == NULL)
        return 1;
    char *name = arena_strdup(session->arena, session->requested_name);
    text_lowercase(name);
    HASH_FIND_STR(answers, name, answer);
    if (answer == NULL)
        answer = ask(name);
    ERR_clear_error(); /* other sessions ran meanwhile */
    if (answer == NULL) {
        log_warning("tls_server_sni_maps: %s map lookup problem", session->requested_name);
        return 0;
    }
    answer->users++;
    if (!answer->identity.found)
        log_info("TLS SNI %s from %s not matched, using default chain", session->requested_name, session->client);
    else if (answer->identity.count > 0)
        good = tls_context_set_identity(ssl, &answer->identity);
    else {
        log_warning("tls_server_sni_maps: %s map lookup problem", session->requested_name);
        good = false;
    }
    if (--answer->users == 0 && answer->is_stale)
        answer_free(answer);
    return good;
}

/* Called twice when the client has to begin anew (RFC 8446 4.1.4): the name must stay the same. */
static int note_name(SSL *ssl, int *alert UNUSED, void *unused UNUSED)
{
    struct tls_session *session = tls_session_of(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL || *name == '\0')
        return SSL_TLSEXT_ERR_NOACK;
    if (!hostname_is_valid(slice_of(name))) {
        char *copy = mem_strdup(name);
        text_make_printable(copy, strlen(copy));
        log_warning("TLS SNI from %s is invalid: %s", session->client, copy);
        free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    if (session->requested_name != NULL && strcmp(session->requested_name, name) != 0) {
        log_warning("TLS SNI changed from %s initially %s, %s after hello retry", session->client, session->requested_name, name);
        return SSL_TLSEXT_ERR_NOACK;
    }
    if (session->requested_name == NULL)
        session->requested_name = arena_strdup(session->arena, name);
    return SSL_TLSEXT_ERR_OK;
}

void server_names_install(SSL_CTX *context)
{
    SSL_CTX_set_tlsext_servername_callback(context, note_name);
    SSL_CTX_set_cert_cb(context, choose_certificate, NULL);
}
