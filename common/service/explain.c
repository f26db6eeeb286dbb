/* SPDX-License-Identifier: ISC */
/*
 * explain: holds the dialogue of an imagined client with this service's own session and policy, and writes down what
 * happened. Asked by the supervisor for "posthorn explain". The session has no socket and no queue: what it says is a
 * script, and a message that it would accept is forgotten. Tables and DNS are really asked, policy services only when the
 * question says so; nothing remembers this client.
 */
#include "common/service/explain.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/access/verify_client.h"
#include "common/base/mem.h"
#include "common/service/service.h"

#define COMMAND_LIMIT 8

/* What the client says, one command a turn, and how far it got. */
struct script {
    char *commands[COMMAND_LIMIT]; /* with their CRLF */
    char *shown[COMMAND_LIMIT];    /* for people */
    size_t count, next, sent;      /* sent: bytes of the present command */
    struct str replies;            /* bytes of the server not yet made into events */
    bool refused;
};

struct explanation {
    const struct explain_request *request;
    struct arena *arena;
    struct script script;
    struct str *out;
    size_t events;
};

/* --- events ---------------------------------------------------------------------------------- */

static void take_event(struct trace *trace, const struct trace_event *event)
{
    struct explanation *explanation = trace->context;
    if (explanation->events++ < EXPLAIN_EVENT_LIMIT)
        trace_event_encode(event, explanation->out);
}

/* --- a client without a socket ------------------------------------------------------------------ */

/* Each complete line of the server; of a reply that succeeds the last line says enough. */
static void take_replies(struct script *script)
{
    size_t start = 0;
    const char *end;
    while (start < script->replies.len &&
           (end = memchr(script->replies.data + start, '\n', script->replies.len - start)) != NULL) {
        size_t len = (size_t)(end - script->replies.data) - start;
        char *line = mem_strndup(script->replies.data + start, len > 0 && end[-1] == '\r' ? len - 1 : len);
        bool is_last = strlen(line) > 3 && line[3] == ' ', is_error = line[0] == '4' || line[0] == '5';
        if (is_last || is_error)
            trace_emit(TRACE_REPLY, 0, "", line);
        script->refused = script->refused || is_error;
        free(line);
        start += len + 1;
    }
    str_clear(&script->replies);
}

static ssize_t script_write(void *context, int fd UNUSED, const void *data, size_t len, int *want UNUSED)
{
    struct script *script = context;
    str_append_bytes(&script->replies, data, len);
    take_replies(script);
    return (ssize_t)len;
}

static ssize_t script_read(void *context, int fd UNUSED, void *data, size_t len, int *want UNUSED)
{
    struct script *script = context;
    if (script->next == script->count || script->refused)
        return 0;
    const char *command = script->commands[script->next];
    struct slice rest = slice_skip(slice_of(command), script->sent);
    if (script->sent == 0)
        trace_emit(TRACE_COMMAND, 0, "", script->shown[script->next]);
    size_t now = rest.len < len ? rest.len : len;
    memcpy(data, rest.data, now);
    script->sent += now;
    if (now == rest.len) {
        script->next++;
        script->sent = 0;
    }
    return (ssize_t)now;
}

static void say(struct explanation *explanation, const char *command, const char *shown)
{
    struct script *script = &explanation->script;
    script->commands[script->count] = arena_printf(explanation->arena, "%s\r\n", command);
    script->shown[script->count++] = arena_strdup(explanation->arena, shown != NULL ? shown : command);
}

static void write_script(struct explanation *explanation)
{
    const struct explain_request *request = explanation->request;
    struct arena *arena = explanation->arena;
    say(explanation, arena_printf(arena, "EHLO %s", request->helo), NULL);
    say(explanation, arena_printf(arena, "MAIL FROM:<%s>", request->sender), NULL);
    if (*request->recipient == '\0')
        return;
    say(explanation, arena_printf(arena, "RCPT TO:<%s>", request->recipient), NULL);
    say(explanation, "DATA", NULL);
    say(explanation, arena_printf(arena, "From: <%s>\r\nTo: <%s>\r\nSubject: posthorn explain\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
                                  "Message-Id: <explain@localhost>\r\n\r\n.", request->sender, request->recipient), "(a message).");
}

/* --- a policy without a queue ------------------------------------------------------------------- */

static bool begin_message(struct smtp_session *session)
{
    memcpy(session->queue_id, "EXPLAIN", sizeof "EXPLAIN");
    return true;
}

static int open_spool(struct smtp_session *session UNUSED, enum submit_status *status)
{
    *status = SUBMIT_ERROR;
    return -1;
}

static enum submit_status submit(struct smtp_session *session UNUSED, struct submission *submission UNUSED)
{
    return SUBMIT_OK;
}

static void abandon(struct smtp_session *session UNUSED)
{
}

/* --- the dialogue ----------------------------------------------------------------------------------- */

static void name_client(const struct explain_request *request, struct smtpd_client *client)
{
    if (*request->name == '\0') {
        client_name_lookup(client, request->address);
        return;
    }
    bool known = strcmp(request->name, "unknown") != 0;
    const char *reverse = *request->reverse_name != '\0' ? request->reverse_name : request->name;
    client->name = mem_strdup(request->name);
    client->reverse_name = mem_strdup(reverse);
    client->name_status = known ? PEERNAME_OK : PEERNAME_NONE;
    client->reverse_status = strcmp(reverse, "unknown") != 0 ? PEERNAME_OK : PEERNAME_NONE;
}

static void log_in(const struct explain_request *request, struct smtp_session *session)
{
    static const struct tls_peer encrypted = {
        .protocol = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .cipher_bits_used = 256, .cipher_bits_total = 256,
        .details = "", .server_name = "", .subject = "", .issuer = "", .fingerprint = "", .public_key_fingerprint = ""};
    if (request->is_encrypted)
        session->tls = &encrypted;
    if (*request->login == '\0')
        return;
    session->sasl_username = mem_strdup(request->login);
    session->sasl_method = mem_strdup(request->mechanism);
}

/* "2 text": see explain_protocol.h. */
static struct supposed_address suppose_address(const char *address, const char *known)
{
    if (known[0] < '0' || known[0] >= '0' + VERIFY_UNKNOWN || known[1] != ' ')
        return (struct supposed_address){NULL};
    return (struct supposed_address){address, (uint8_t)(known[0] - '0'), known + 2};
}

/* What the running server knows of the addresses, for a dry run without a memory. */
static void recall_addresses(const struct explanation *explanation)
{
    const char *const addresses[] = {explanation->request->sender, explanation->request->recipient};
    for (size_t i = 0; i < 2; i++) {
        enum verify_status status;
        const char *text;
        if (verify_recall(addresses[i], explanation->arena, &status, &text))
            trace_input("address verification", addresses[i], "%d %s", (int)status, text);
    }
}

static void hold_dialogue(struct explanation *explanation)
{
    static const struct stream_transport transport = {.read = script_read, .write = script_write};
    const struct explain_request *request = explanation->request;
    const struct supposition supposed = {*request->policy != '\0' ? request->policy : NULL,
                                         suppose_address(request->sender, request->known_sender),
                                         suppose_address(request->recipient, request->known_recipient)};
    struct smtpd_client client = {.supposed = &supposed};
    struct smtp_server_policy policy = service_policy;
    struct smtp_server server = smtpd.server;
    policy.begin_message = begin_message;
    policy.open_spool = open_spool;
    policy.submit = submit;
    policy.abandon = abandon;
    server.policy = &policy;
    server.error_sleep = 0;
    server.tls_wrapper = false; /* no handshake: whether it is encrypted, the request says */
    name_client(request, &client);
    struct smtp_session *session = smtp_session_new(&server, -1, client.name, request->address, request->port, &client);
    log_in(request, session);
    stream_set_transport(&session->stream, &transport, &explanation->script);
    smtp_session_run(session);
    client_name_forget(&client);
}

bool service_explain(struct slice body, struct str *out)
{
    struct arena *arena = arena_new();
    struct explain_request request;
    bool works = explain_request_decode(body, arena, &request);
    if (works) {
        struct explanation explanation = {.request = &request, .arena = arena, .out = out};
        struct trace trace = {.take = take_event, .context = &explanation, .takes_log = true};
        write_script(&explanation);
        trace_attach(&trace);
        if (request.only_recalls)
            recall_addresses(&explanation);
        else
            hold_dialogue(&explanation);
        trace_attach(NULL);
        str_free(&explanation.script.replies);
    }
    arena_free(arena);
    return works;
}
