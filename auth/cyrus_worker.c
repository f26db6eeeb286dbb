/* SPDX-License-Identifier: ISC */
/*
 * cyrus_worker: Cyrus SASL itself, in a process that may block in it. Answers auth's questions one after the other; keeps
 * the exchanges that wait for their client's next response. Reads the password database, connects to saslauthd or a
 * database, and can do nothing else. When auth has had enough of waiting, the spawner kills it.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <sasl/sasl.h>
#include <sasl/saslutil.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/cyrus.h"
#include "common/base/mem.h"
#include "common/process/helper.h"
#include "common/process/ipc_codec.h"

#define LOGIN_LIMIT 1024

struct slot {
    uint64_t id;
    sasl_conn_t *connection; /* NULL: free */
    sasl_channel_binding_t binding;
    char *binding_name;
};

static struct slot slots[WORKER_EXCHANGES];
static int socket_fd;
static char *start_error; /* NULL: the library works */
static const struct cyrus_setup *library_setup;

/* --- what the library asks of us ------------------------------------------------------------------ */

static void send_packet(struct str *packet)
{
    if (send(socket_fd, packet->data, packet->len, MSG_NOSIGNAL) < 0)
        _exit(0); /* auth is gone */
    mem_wipe(packet->data, packet->cap);
    str_free(packet);
}

/* Debug levels show passwords: they go nowhere. */
static int on_log(void *context, int level, const char *text)
{
    struct str packet = STR_EMPTY;
    (void)context;
    if (text == NULL || level < SASL_LOG_ERR || level > SASL_LOG_WARN || socket_fd <= 0)
        return SASL_OK;
    ipc_put_u8(&packet, WORKER_LOG);
    ipc_put_bool(&packet, level == SASL_LOG_ERR);
    ipc_put_text(&packet, text);
    send_packet(&packet);
    return SASL_OK;
}

/* A path that is not there may be meant as a chrooted Postfix sees it: below queue_directory. */
static const char *chrooted(const char *path)
{
    static char found[512];
    struct str below = STR_EMPTY;
    str_printf(&below, "%s%s", library_setup->queue_directory, path);
    bool is_there = below.len < sizeof found && access(below.data, F_OK) == 0;
    if (is_there)
        memcpy(found, below.data, below.len + 1);
    str_free(&below);
    return is_there ? found : NULL;
}

/* NULL: what the configuration file or the library says is as good as anything. */
static const char *saslauthd_path(void)
{
    static const char *const usual[] = {"/run/saslauthd/mux", "/var/run/saslauthd/mux"};
    const char *configured = library_setup->saslauthd_path;
    const char *path = NULL;
    if (configured != NULL)
        return access(configured, F_OK) == 0 ? NULL : chrooted(configured);
    for (size_t i = 0; i < 2; i++)
        if (access(usual[i], F_OK) == 0)
            return NULL;
    for (size_t i = 0; i < 2 && path == NULL; i++)
        path = chrooted(usual[i]);
    return path;
}

static int on_getopt(void *context, const char *plugin, const char *option, const char **result, unsigned *len)
{
    (void)context;
    (void)plugin;
    if (strcmp(option, "saslauthd_path") != 0)
        return SASL_FAIL;
    const char *path = saslauthd_path();
    if (path == NULL)
        return SASL_FAIL; /* then the configuration file is asked */
    *result = path;
    if (len != NULL)
        *len = (unsigned)strlen(path);
    return SASL_OK;
}

static int on_getconfpath(void *context, char **path)
{
    (void)context;
    *path = strdup(library_setup->search_path); /* the library frees it */
    return *path != NULL ? SASL_OK : SASL_NOMEM;
}

typedef int callback_function(void);
static const sasl_callback_t callbacks[] = {
    {SASL_CB_LOG, (callback_function *)(void *)on_log, NULL},
    {SASL_CB_GETOPT, (callback_function *)(void *)on_getopt, NULL},
    {SASL_CB_GETCONFPATH, (callback_function *)(void *)on_getconfpath, NULL},
    {SASL_CB_LIST_END, NULL, NULL},
};

/* An unknown name and a wrong password shall look alike. */
static const char *error_text(int code)
{
    return sasl_errstring(code == SASL_NOUSER ? SASL_BADAUTH : code, NULL, NULL);
}

void cyrus_library_start(const struct cyrus_setup *setup)
{
    library_setup = setup;
    /* Kerberos would write a list of what it has seen. SASL's GSSAPI needs none: who replays a ticket cannot answer the challenge that
     * follows (RFC 4752 3.1). */
    if (setenv("KRB5RCACHENAME", "none:", 0) != 0)
        start_error = mem_printf("setenv: %s", strerror(errno));
    /* The security layer of DIGEST-MD5, which ldapdb uses, wants RC4; loaded later it could not be executed. Without it only that fails. */
    OSSL_LIB_CTX *unused = OSSL_LIB_CTX_new();
    if (unused == NULL || OSSL_PROVIDER_load(unused, "legacy") == NULL)
        ERR_clear_error();
    int code = sasl_server_init(callbacks, setup->application);
    if (code == SASL_OK) /* the ldapdb plugin is a client of the directory; plugins are out of reach later */
        code = sasl_client_init(NULL);
    if (code != SASL_OK)
        start_error = mem_printf("SASL per-process initialization failed: %s", error_text(code));
}

/* --- answers ----------------------------------------------------------------------------------------- */

static void send_answer(enum sasl_status status, const char *text, const char *login)
{
    struct str packet = STR_EMPTY;
    struct sasl_answer answer = {(uint8_t)status, 0, (char *)text, (char *)login};
    ipc_put_u8(&packet, WORKER_ANSWER);
    sasl_answer_encode(&answer, &packet);
    send_packet(&packet);
}

static void slot_free(struct slot *slot)
{
    sasl_dispose(&slot->connection);
    if (slot->binding_name != NULL)
        free(slot->binding_name);
    free((void *)slot->binding.data);
    *slot = (struct slot){0};
}

static struct slot *slot_find(uint64_t id)
{
    for (size_t i = 0; i < WORKER_EXCHANGES; i++)
        if (slots[i].connection != NULL && slots[i].id == id)
            return &slots[i];
    return NULL;
}

static struct slot *slot_unused(void)
{
    for (size_t i = 0; i < WORKER_EXCHANGES; i++)
        if (slots[i].connection == NULL)
            return &slots[i];
    return NULL;
}

static unsigned security_flags(uint32_t properties)
{
    return (properties & SASL_NO_PLAINTEXT ? SASL_SEC_NOPLAINTEXT : 0u) | (properties & SASL_NO_ACTIVE ? SASL_SEC_NOACTIVE : 0u) |
           (properties & SASL_NO_DICTIONARY ? SASL_SEC_NODICTIONARY : 0u) |
           (properties & SASL_NO_ANONYMOUS ? SASL_SEC_NOANONYMOUS : 0u) |
           (properties & SASL_WANT_FORWARD_SECRECY ? SASL_SEC_FORWARD_SECRECY : 0u) |
           (properties & SASL_WANT_MUTUAL_AUTH ? SASL_SEC_MUTUAL_AUTH : 0u);
}

static int set_properties(struct slot *slot, const struct sasl_client *client)
{
    sasl_security_properties_t security = {.max_ssf = 1, .security_flags = security_flags(client->properties)};
    sasl_ssf_t strength = client->cipher_bits;
    int code = sasl_setprop(slot->connection, SASL_SEC_PROPS, &security);
    if (code == SASL_OK && client->is_encrypted)
        code = sasl_setprop(slot->connection, SASL_SSF_EXTERNAL, &strength);
    if (code == SASL_OK && *client->certificate_name != '\0')
        code = sasl_setprop(slot->connection, SASL_AUTH_EXTERNAL, client->certificate_name);
    if (code != SASL_OK || client->binding.len == 0)
        return code;
    char *copy = mem_strndup(client->binding.data, client->binding.len);
    slot->binding_name = mem_strdup(client->binding_type);
    slot->binding = (sasl_channel_binding_t){.name = slot->binding_name, .data = (unsigned char *)copy,
                                             .len = client->binding.len};
    return sasl_setprop(slot->connection, SASL_CHANNEL_BINDING, &slot->binding);
}

/* "address;port", as the library wants it. */
static char *endpoint(const char *address, const char *port)
{
    return mem_printf("%s;%s", address, port);
}

static int slot_open(struct slot *slot, const struct sasl_client *client)
{
    char *local = endpoint(client->server_address, client->server_port);
    char *remote = endpoint(client->client_address, client->client_port);
    int code = sasl_server_new(client->service, client->host_name, *client->realm != '\0' ? client->realm : NULL, local,
                               remote, NULL, 0, &slot->connection);
    free(local);
    free(remote);
    return code == SASL_OK ? set_properties(slot, client) : code;
}

static bool is_passing(int code)
{
    return code == SASL_FAIL || code == SASL_NOMEM || code == SASL_TRYAGAIN || code == SASL_UNAVAIL ||
           code == SASL_NOTINIT || code == SASL_BUFOVER;
}

static const char *login_of(const struct slot *slot)
{
    const void *name = NULL;
    if (sasl_getprop(slot->connection, SASL_USERNAME, &name) != SASL_OK || name == NULL || strlen(name) > LOGIN_LIMIT)
        return "";
    return name;
}

static void send_challenge(const char *challenge, unsigned len)
{
    unsigned room = len / 3 * 4 + 8, used = 0;
    char *text = mem_alloc(room);
    if (sasl_encode64(len > 0 ? challenge : "", len, text, room, &used) == SASL_OK)
        send_answer(SASL_MORE, text, "");
    else
        send_answer(SASL_UNAVAILABLE, "challenge too long", "");
    free(text);
}

/* The outcome of one step. The exchange goes on only after SASL_CONTINUE. */
static void report(struct slot *slot, int code, const char *challenge, unsigned len)
{
    if (code == SASL_CONTINUE) {
        send_challenge(challenge, len);
        return;
    }
    if (code == SASL_OK && *login_of(slot) != '\0')
        send_answer(SASL_DONE, "", login_of(slot));
    else if (code == SASL_OK) /* logged in as nobody: anonymous is no login */
        send_answer(SASL_FAILED, "no login name", "");
    else
        send_answer(is_passing(code) ? SASL_UNAVAILABLE : SASL_FAILED, error_text(code), login_of(slot));
    slot_free(slot);
}

/* What came in base64; the library's decoder, so that malformed input is refused in its words. */
static int decode(struct slice text, struct str *out)
{
    unsigned len = 0;
    str_reserve(out, text.len + 1);
    int code = sasl_decode64(text.len > 0 ? text.data : "", (unsigned)text.len, out->data, (unsigned)text.len + 1, &len);
    out->len = code == SASL_OK ? len : 0;
    return code;
}

/* --- questions --------------------------------------------------------------------------------------------- */

static void list(struct ipc_reader *reader, struct arena *arena)
{
    struct sasl_client client;
    struct slot slot = {0};
    const char *names = NULL;
    int count = 0;
    sasl_client_get(reader, arena, &client);
    if (!ipc_reader_finish(reader))
        _exit(1);
    int code = slot_open(&slot, &client);
    if (code == SASL_OK)
        code = sasl_listmech(slot.connection, NULL, "", " ", "", &names, NULL, &count);
    if (code == SASL_OK || code == SASL_NOMECH)
        send_answer(SASL_DONE, code == SASL_OK && count > 0 ? names : "", "");
    else
        send_answer(SASL_UNAVAILABLE, error_text(code), "");
    slot_free(&slot);
}

static void start(struct ipc_reader *reader, struct arena *arena)
{
    struct sasl_client client;
    struct str initial = STR_EMPTY;
    const char *challenge = NULL;
    unsigned len = 0;
    uint64_t id = ipc_get_u64(reader);
    sasl_client_get(reader, arena, &client);
    const char *mechanism = ipc_get_text(reader, arena);
    bool is_initial = ipc_get_bool(reader);
    struct slice text = ipc_get_slice(reader);
    struct slot *slot = slot_unused();
    if (!ipc_reader_finish(reader) || slot == NULL)
        _exit(1);
    int code = slot_open(slot, &client);
    if (code == SASL_OK && is_initial && (code = decode(text, &initial)) != SASL_OK)
        send_answer(SASL_FAILED, error_text(code), "");
    else if (code != SASL_OK)
        send_answer(SASL_UNAVAILABLE, error_text(code), "");
    else {
        slot->id = id;
        code = sasl_server_start(slot->connection, mechanism, is_initial ? initial.data : NULL, (unsigned)initial.len,
                                 &challenge, &len);
        report(slot, code, challenge, len);
    }
    if (code != SASL_CONTINUE && slot->connection != NULL)
        slot_free(slot);
    if (initial.data != NULL)
        mem_wipe(initial.data, initial.cap);
    str_free(&initial);
}

static void step(struct ipc_reader *reader)
{
    struct str response = STR_EMPTY;
    const char *challenge = NULL;
    unsigned len = 0;
    uint64_t id = ipc_get_u64(reader);
    struct slice text = ipc_get_slice(reader);
    struct slot *slot = slot_find(id);
    if (!ipc_reader_finish(reader) || slot == NULL)
        _exit(1);
    int code = decode(text, &response);
    if (code != SASL_OK) {
        send_answer(SASL_FAILED, error_text(code), "");
        slot_free(slot);
    } else {
        code = sasl_server_step(slot->connection, response.data, (unsigned)response.len, &challenge, &len);
        report(slot, code, challenge, len);
    }
    if (response.data != NULL)
        mem_wipe(response.data, response.cap);
    str_free(&response);
}

static void drop(struct ipc_reader *reader)
{
    struct slot *slot = slot_find(ipc_get_u64(reader));
    if (slot != NULL)
        slot_free(slot);
}

static void probe(void)
{
    struct str packet = STR_EMPTY;
    ipc_put_u8(&packet, WORKER_PROBED);
    role_helper_probe(library_setup->queue_directory, &packet);
    send_packet(&packet);
}

static void take_packet(struct slice packet, struct arena *arena)
{
    struct ipc_reader reader = ipc_reader_of(packet);
    uint8_t question = ipc_get_u8(&reader);
    if (question == WORKER_DROP)
        drop(&reader);
    else if (question == WORKER_PROBE)
        probe();
    else if (start_error != NULL)
        send_answer(SASL_UNAVAILABLE, start_error, "");
    else if (question == WORKER_LIST)
        list(&reader, arena);
    else if (question == WORKER_START)
        start(&reader, arena);
    else if (question == WORKER_STEP)
        step(&reader);
    else
        _exit(1);
}

void cyrus_worker_run(int socket)
{
    char *packet = mem_alloc(WORKER_PACKET);
    struct arena *arena = arena_new();
    socket_fd = socket;
    for (;;) {
        ssize_t len = recv(socket, packet, WORKER_PACKET, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            _exit(0);
        take_packet(slice_range(packet, (size_t)len), arena);
        mem_wipe(packet, (size_t)len);
        arena_reset(arena);
    }
}
