/* SPDX-License-Identifier: ISC */
/*
 * ldap_connection: a worker's thread connects, secures and binds (ldap_table(5)), then asks. Called by worker_pool.c on its threads
 * only. Every call of the library has the table's timeout. A connection that was lost while idle is replaced and
 * the search repeated once; one that failed otherwise is given up.
 */
#include "config.h"

#include <stdlib.h>
#ifdef HAVE_SASL_SASL_H
#include <sasl/sasl.h>
#endif

#include "common/base/mem.h"
#include "common/table/ldap_table.h"

#define IDLE_SECONDS 60

struct ldap_connection {
    LDAP *handle;
    bool used;
};

struct attempt {
    const struct ldap_server *server;
    struct worker_job *job;
    LDAP *handle;
};

static bool succeeded(const struct attempt *attempt, const char *what, int code)
{
    if (code == LDAP_SUCCESS)
        return true;
    worker_job_complain(attempt->job, "ldap server %s: %s: %d: %s", attempt->server->uris, what, code, ldap_err2string(code));
    return false;
}

static bool set_text(const struct attempt *attempt, int option, const char *name, const char *value)
{
    return *value == '\0' || succeeded(attempt, name, ldap_set_option(attempt->handle, option, value));
}

static bool set_number(const struct attempt *attempt, int option, const char *name, int64_t value)
{
    int number = (int)value;
    return succeeded(attempt, name, ldap_set_option(attempt->handle, option, &number));
}

static bool set_basics(const struct attempt *attempt)
{
    const struct ldap_server *server = attempt->server;
    struct timeval timeout = {.tv_sec = server->timeout};
    return succeeded(attempt, "network timeout", ldap_set_option(attempt->handle, LDAP_OPT_NETWORK_TIMEOUT, &timeout)) &&
           succeeded(attempt, "timeout", ldap_set_option(attempt->handle, LDAP_OPT_TIMEOUT, &timeout)) &&
           set_number(attempt, LDAP_OPT_PROTOCOL_VERSION, "version", server->version) &&
           set_number(attempt, LDAP_OPT_DEREF, "dereference", server->dereference) &&
           succeeded(attempt, "chase_referrals",
                     ldap_set_option(attempt->handle, LDAP_OPT_REFERRALS,
                                     server->chase_referrals ? LDAP_OPT_ON : LDAP_OPT_OFF));
}

static bool set_tls(const struct attempt *attempt)
{
    const struct ldap_server *server = attempt->server;
    if (!server->uses_tls)
        return true;
    return set_text(attempt, LDAP_OPT_X_TLS_CACERTDIR, "tls_ca_cert_dir", server->tls_ca_dir) &&
           set_text(attempt, LDAP_OPT_X_TLS_CACERTFILE, "tls_ca_cert_file", server->tls_ca_file) &&
           set_text(attempt, LDAP_OPT_X_TLS_CERTFILE, "tls_cert", server->tls_cert) &&
           set_text(attempt, LDAP_OPT_X_TLS_KEYFILE, "tls_key", server->tls_key) &&
           set_text(attempt, LDAP_OPT_X_TLS_RANDOM_FILE, "tls_random_file", server->tls_random_file) &&
           set_text(attempt, LDAP_OPT_X_TLS_CIPHER_SUITE, "tls_cipher_suite", server->tls_ciphers) &&
           set_number(attempt, LDAP_OPT_X_TLS_REQUIRE_CERT, "tls_require_cert",
                      server->tls_require_cert ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER) &&
           set_number(attempt, LDAP_OPT_X_TLS_NEWCTX, "TLS", 0);
}

#ifdef HAVE_SASL_SASL_H
static int answer_sasl(LDAP *handle UNUSED, unsigned flags UNUSED, void *defaults, void *questions)
{
    const struct ldap_server *server = defaults;
    for (sasl_interact_t *question = questions; question->id != SASL_CB_LIST_END; question++) {
        const char *answer = question->defresult != NULL ? question->defresult : "";
        switch (question->id) {
        case SASL_CB_GETREALM: answer = server->sasl_realm; break;
        case SASL_CB_AUTHNAME: answer = server->bind_dn; break;
        case SASL_CB_USER: answer = server->sasl_authz_id; break;
        case SASL_CB_PASS: answer = server->bind_password; break;
        default: break;
        }
        question->result = answer;
        question->len = (unsigned)strlen(answer);
    }
    return LDAP_SUCCESS;
}

static int bind_sasl(const struct attempt *attempt)
{
    const struct ldap_server *server = attempt->server;
    ber_len_t minssf = (ber_len_t)server->sasl_minssf;
    int code = ldap_set_option(attempt->handle, LDAP_OPT_X_SASL_SSF_MIN, &minssf);
    if (code != LDAP_SUCCESS)
        return code;
    const char *mechanisms = *server->sasl_mechanisms != '\0' ? server->sasl_mechanisms : NULL;
    return ldap_sasl_interactive_bind_s(attempt->handle, NULL, mechanisms, NULL, NULL, LDAP_SASL_QUIET, answer_sasl,
                                        (void *)(uintptr_t)server);
}
#else
static int bind_sasl(const struct attempt *attempt UNUSED)
{
    return LDAP_AUTH_METHOD_NOT_SUPPORTED;
}
#endif

static bool log_in(const struct attempt *attempt)
{
    const struct ldap_server *server = attempt->server;
    struct berval password = {strlen(server->bind_password), (char *)(uintptr_t)server->bind_password};
    int code = LDAP_SUCCESS;
    if (server->bind == LDAP_BIND_SIMPLE)
        code = ldap_sasl_bind_s(attempt->handle, server->bind_dn, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL);
    else if (server->bind == LDAP_BIND_SASL)
        code = bind_sasl(attempt);
    if (code == LDAP_SUCCESS)
        return true;
    worker_job_complain(attempt->job, "Unable to bind to server %s with dn %s: %d (%s)", server->uris,
                        *server->bind_dn != '\0' ? server->bind_dn : "empty or implicit", code, ldap_err2string(code));
    return false;
}

static struct ldap_connection *connection_open(const struct ldap_server *server, struct worker_job *job)
{
    struct attempt attempt = {server, job, NULL};
    int code = ldap_initialize(&attempt.handle, server->uris);
    if (!succeeded(&attempt, "bad server_host", code))
        return NULL;
    bool ok = set_basics(&attempt) && set_tls(&attempt);
    if (ok && server->start_tls)
        ok = succeeded(&attempt, "STARTTLS", ldap_start_tls_s(attempt.handle, NULL, NULL));
    if (!ok || !log_in(&attempt)) {
        ldap_unbind_ext(attempt.handle, NULL, NULL);
        return NULL;
    }
    struct ldap_connection *connection = mem_alloc(sizeof *connection);
    connection->handle = attempt.handle;
    return connection;
}

static void connection_close(void *data)
{
    struct ldap_connection *connection = data;
    ldap_unbind_ext(connection->handle, NULL, NULL);
    free(connection);
}

static void run(void **data, void *shared, struct worker_job *job)
{
    struct ldap_job *own = (struct ldap_job *)job;
    bool again = true;
    own->db.answered = false;
    while (again) {
        struct ldap_connection *connection = *data != NULL ? *data : connection_open(shared, job);
        *data = connection;
        if (connection == NULL)
            return;
        enum ldap_outcome outcome = ldap_search_run(connection->handle, own);
        own->db.answered = outcome == LDAP_OUTCOME_ANSWER;
        again = outcome == LDAP_OUTCOME_LOST && connection->used;
        connection->used = true;
        if (!own->db.answered) {
            connection_close(connection);
            *data = NULL;
        }
        if (again) {
            str_clear(&job->complaints);
            own->db.value_count = 0;
        }
    }
}

/* --- the pool ------------------------------------------------------------------------- */

static void free_job(struct worker_job *job)
{
    struct ldap_job *own = (struct ldap_job *)job;
    ldap_search_release(own->search);
    arena_free(own->db.arena);
    free(own->db.values);
    free(own);
}

static void free_server(void *shared)
{
    struct ldap_server *server = shared;
    mem_wipe((char *)(uintptr_t)server->bind_password, strlen(server->bind_password));
    arena_free(server->arena);
    free(server);
}

const struct worker_kind ldap_worker = {
    .run = run, .close = connection_close, .free_job = free_job, .free_shared = free_server,
};

static struct ldap_server *server_copy(const struct ldap_server *from)
{
    struct ldap_server *to = mem_alloc(sizeof *to);
    *to = *from;
    to->arena = arena_new();
    const char **texts[] = {&to->uris, &to->bind_dn, &to->bind_password, &to->sasl_mechanisms, &to->sasl_realm,
                            &to->sasl_authz_id, &to->tls_ca_dir, &to->tls_ca_file, &to->tls_cert, &to->tls_key,
                            &to->tls_random_file, &to->tls_ciphers};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = arena_strdup(to->arena, *texts[i]);
    return to;
}

struct worker_pool *ldap_pool_open(const struct ldap_server *s)
{
    char *key = mem_printf("%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%d %lld %lld %lld %lld %d%d%d%d", s->uris,
                           s->bind_dn, s->bind_password, s->sasl_mechanisms, s->sasl_realm, s->sasl_authz_id, s->tls_ca_dir,
                           s->tls_ca_file, s->tls_cert, s->tls_key, s->tls_random_file, s->tls_ciphers, (int)s->bind,
                           (long long)s->version, (long long)s->dereference, (long long)s->sasl_minssf,
                           (long long)s->timeout, s->chase_referrals, s->start_tls, s->uses_tls, s->tls_require_cert);
    struct worker_pool *pool = worker_pool_find(&ldap_worker, key);
    if (pool == NULL)
        pool = worker_pool_new(&ldap_worker, key, server_copy(s), IDLE_SECONDS);
    mem_wipe(key, strlen(key));
    free(key);
    return pool;
}
