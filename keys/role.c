/* SPDX-License-Identifier: ISC */
/*
 * keys: the one process that holds private keys. It opens nothing by itself: the supervisor opens the files, before and
 * whenever they change, and passes the descriptors. No network, no files, no clients but smtpd and submission, which
 * get certificates and signatures. Lives through reloads, so that a certificate that is broken that day stays in use.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <openssl/ssl.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role.h"
#include "keys/keys.h"

#define FIRST_FILES_S 60
#define PATIENCE_MS 3000 /* a renewal writes one file after the other: only what stays broken is reported */

struct client {
    LIST_ENTRY(client) link;
    struct ipc_channel *channel;
    char *service;
};

static LIST_HEAD(, client) clients = LIST_HEAD_INITIALIZER(clients);
static struct {
    bool has_files;
    bool reports; /* a fiber waits to report */
    struct fiber_cond came;
} state;

/* --- clients ---------------------------------------------------------------------------------------- */

static const char *service_of(const struct ipc_channel *channel)
{
    const struct client *client = ipc_owner(channel);
    return client != NULL ? client->service : "";
}

static struct slice certificate_der(X509 *certificate, struct arena *arena)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    struct slice copy = slice_range(NULL, 0);
    if (len > 0)
        copy = slice_range(arena_strndup(arena, (const char *)der, (size_t)len), (size_t)len);
    OPENSSL_free(der);
    return copy;
}

static void on_identity(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct ipc_reader reader = ipc_reader_of(message->body);
    const char *name = ipc_get_text(&reader, arena);
    const struct chain **chains = NULL;
    struct keys_identity identity = {0};
    struct str reply = STR_EMPTY;
    if (!ipc_reader_finish(&reader))
        ipc_violation(channel, "malformed question for an identity");
    identity.found = store_find(service_of(channel), name, &chains, &identity.count);
    identity.chains = arena_alloc_array(arena, identity.count + 1, sizeof *identity.chains);
    for (size_t i = 0; i < identity.count; i++) {
        struct keys_chain *chain = &identity.chains[i];
        chain->count = chains[i]->count;
        chain->certificates = arena_alloc_array(arena, chain->count, sizeof *chain->certificates);
        for (size_t j = 0; j < chain->count; j++)
            chain->certificates[j] = certificate_der(chains[i]->certificates[j], arena);
    }
    keys_identity_encode(&identity, &reply);
    ipc_reply(channel, message->id, str_slice(&reply), -1);
    str_free(&reply);
    arena_free(arena);
}

static void on_sign(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct keys_sign sign;
    struct str reply = STR_EMPTY, signature = STR_EMPTY;
    if (!keys_sign_decode(message->body, arena, &sign))
        ipc_violation(channel, "malformed request for a signature");
    EVP_PKEY *key = store_find_key(service_of(channel), sign.id);
    bool good = key != NULL && sign_message(key, &sign, &signature);
    if (!good)
        log_warning("service %s: signature refused: %s", service_of(channel),
                    key == NULL ? "it has no such key" : "not for this key, or not the form of a TLS handshake");
    ipc_put_bool(&reply, good);
    ipc_put_slice(&reply, str_slice(&signature));
    ipc_reply(channel, message->id, str_slice(&reply), -1);
    str_free(&reply);
    str_free(&signature);
    arena_free(arena);
}

static void on_client_lost(struct ipc_channel *channel)
{
    struct client *client = ipc_owner(channel);
    if (client == NULL)
        return;
    LIST_REMOVE(client, link);
    free(client->service);
    free(client);
}

static const struct ipc_rule rules[] = {
    {KEYS_IDENTITY, "IDENTITY", IPC_REQUEST, false, IPC_ANY_STATE, KEYS_NAME_LIMIT, on_identity},
    {KEYS_SIGN, "SIGN", IPC_REQUEST, false, IPC_ANY_STATE, KEYS_SIGN_LIMIT, on_sign},
};
static const struct ipc_edge service_edge = {
    .name = "service->keys", .trust = IPC_FROM_ROLE, .rules = rules, .rule_count = sizeof rules / sizeof rules[0],
    .lost = on_client_lost,
};

static const struct ipc_edge *edge(enum role_id peer)
{
    return peer == ROLE_SMTPD || peer == ROLE_SUBMISSION ? &service_edge : NULL;
}

/* The supervisor says which service is at the other end; that decides which keys it may use. */
static void peer_opened(enum role_id peer UNUSED, const char *service, struct ipc_channel *channel)
{
    struct client *client = mem_alloc(sizeof *client);
    client->channel = channel;
    client->service = mem_strdup(service);
    ipc_set_owner(channel, client);
    LIST_INSERT_HEAD(&clients, client, link);
}

/* --- files ---------------------------------------------------------------------------------------------- */

static void on_plan(struct slice body)
{
    if (!store_set_plan(body))
        log_fatal("malformed list of certificates from the supervisor");
}

static void report_fiber(void *arg UNUSED)
{
    if (fiber_sleep_until(deadline_in_ms(PATIENCE_MS)) == WAIT_OK)
        store_report();
    state.reports = false;
}

static void on_files_end(void)
{
    bool changed = store_settle();
    struct client *client;
    if (!state.has_files)
        store_report();
    else if (store_has_news() && !state.reports) {
        state.reports = true;
        fiber_spawn("report", report_fiber, NULL);
    }
    state.has_files = true;
    fiber_cond_broadcast(&state.came);
    if (!changed)
        return;
    expiry_look();
    LIST_FOREACH (client, &clients, link)
        ipc_notify(client->channel, KEYS_CHANGED, SLICE(""), -1);
}

/* --- life -------------------------------------------------------------------------------------------------- */

/* Private keys are not for the swap partition. */
static void lock_memory(void)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0 || mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        log_debug("memory is not locked: private keys could reach a swap device");
}

static void open_role(const struct role_start *start UNUSED)
{
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        log_fatal("cannot initialize OpenSSL");
    lock_memory();
}

static void start_role(const struct role_start *start UNUSED)
{
    int64_t deadline = deadline_in_s(FIRST_FILES_S);
    while (!state.has_files)
        if (fiber_cond_wait(&state.came, deadline) != WAIT_OK)
            log_fatal("the supervisor sent no certificates");
    fiber_spawn("expiry", expiry_fiber, NULL);
}

int main(int argc, char **argv)
{
    static const struct role_files files = {.plan = on_plan, .file = store_take_file, .end = on_files_end};
    static const struct role role = {
        .id = ROLE_KEYS,
        .wants_empty_root = true,
        .open = open_role,
        .start = start_role,
        .edge = edge,
        .peer_opened = peer_opened,
        .files = &files,
    };
    return role_main(&role, argc, argv);
}
