/* SPDX-License-Identifier: ISC */
/*
 * dovecot: the logins that Dovecot checks. Many exchanges share a connection, made by lookup when a login needs it; a
 * fiber reads it, each exchange waits for its own id. A service that is down, slow or talks nonsense costs the logins under
 * way a 454, and nothing else. Connections are short-lived: a Dovecot that was restarted goes on with its old configuration
 * for those that stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/dovecot_line.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/stream.h"
#include "common/mail/lookup_protocol.h"

#define CONNECT_S 10         /* for the connection, and for its handshake */
#define HANDSHAKE_LINES 200
#define MECHANISM_LIMIT 40
#define LINE_LIMIT 16000     /* Dovecot hangs up when it gets a longer one; with it would go everybody else's login */
#define IDLE_S 5             /* after so long without a login the connection is closed */
#define LIFE_S 30            /* and after so long it gets no new ones */
#define ANSWER_LIMIT 65536   /* it repeats what a client said, twice and escaped */

struct mechanism {
    char *name;
    uint32_t traits;
};

/* smtpd_sasl_path. */
struct dovecot {
    const char *path, *endpoint;
    struct connection *current;   /* for new exchanges; NULL: none */
    struct mechanism *mechanisms; /* of the last handshake: also offered while the service is away for a moment */
    size_t mechanism_count;
    uint32_t last_id;
};

/* What has to be sent, one line each: grown in place it would leave copies of passwords. */
struct out_line {
    STAILQ_ENTRY(out_line) link;
    struct str text;
};

enum connection_state { CONNECTION_OPENING, CONNECTION_UP, CONNECTION_LOST };

struct connection {
    struct dovecot *dovecot;
    enum connection_state state;
    struct stream stream;
    struct fiber_cond changed;
    STAILQ_HEAD(, out_line) out;
    bool is_writing;
    int64_t made;
    struct request *requests;
    unsigned waiting; /* fibers that wait for it to open */
};

enum request_state { REQUEST_IDLE, REQUEST_WAITING, REQUEST_ANSWERED, REQUEST_LOST };

/* exchange->progress. */
struct request {
    uint32_t id;
    struct connection *connection; /* NULL: lost */
    enum request_state state;
    struct fiber_cond done;
    struct sasl_answer answer; /* texts on the heap */
    UT_hash_handle hh;
};

void *dovecot_open(const char *path)
{
    struct dovecot *dovecot = mem_alloc(sizeof *dovecot);
    bool is_endpoint = strncmp(path, "inet:", 5) == 0 || strncmp(path, "unix:", 5) == 0;
    dovecot->path = mem_strdup(path);
    dovecot->endpoint = is_endpoint ? mem_strdup(path) : mem_printf("unix:%s", path);
    return dovecot;
}

/* --- requests --------------------------------------------------------------------------------------------- */

static struct request *request_new(struct connection *connection)
{
    struct request *request = mem_alloc(sizeof *request);
    request->id = ++connection->dovecot->last_id;
    request->connection = connection;
    HASH_ADD(hh, connection->requests, id, sizeof request->id, request);
    return request;
}

/* Wakes the fiber that reads, and it cleans up. */
static void connection_shut(struct connection *connection)
{
    if (shutdown(connection->stream.handle.fd, SHUT_RDWR) != 0 && errno != ENOTCONN)
        log_warning("SASL: shutdown: %m");
}

/* No new exchanges; it ends with its last one. */
static void connection_retire(struct connection *connection)
{
    if (connection->dovecot->current == connection)
        connection->dovecot->current = NULL;
    if (connection->state == CONNECTION_UP && connection->requests == NULL)
        connection_shut(connection);
}

static void request_forget_answer(struct request *request)
{
    free(request->answer.text);
    free(request->answer.login);
    request->answer = (struct sasl_answer){0};
}

static void request_free(struct request *request)
{
    struct connection *connection = request->connection;
    if (connection != NULL) {
        HASH_DEL(connection->requests, request);
        if (connection->requests == NULL && connection->dovecot->current != connection)
            connection_retire(connection);
    }
    request_forget_answer(request);
    free(request);
}

static void request_answer(struct request *request, enum sasl_status status, const char *text, const char *login)
{
    request_forget_answer(request);
    request->answer = (struct sasl_answer){(uint8_t)status, 0, mem_strdup(text), mem_strdup(login)};
    request->state = REQUEST_ANSWERED;
    fiber_cond_signal(&request->done);
}

/* --- writing ------------------------------------------------------------------------------------------------- */

static void drop_output(struct connection *connection)
{
    struct out_line *line;
    while ((line = STAILQ_FIRST(&connection->out)) != NULL) {
        STAILQ_REMOVE_HEAD(&connection->out, link);
        secret_free(&line->text);
        free(line);
    }
}

/* One fiber writes what all have queued. */
static void write_queued(struct connection *connection)
{
    struct out_line *line;
    enum io_status status = IO_OK;
    if (connection->is_writing)
        return;
    connection->is_writing = true;
    while (status == IO_OK && connection->state == CONNECTION_UP && (line = STAILQ_FIRST(&connection->out)) != NULL) {
        STAILQ_REMOVE_HEAD(&connection->out, link);
        status = stream_write(&connection->stream, str_slice(&line->text), deadline_in_s(CONNECT_S));
        secret_free(&line->text);
        free(line);
    }
    connection->is_writing = false;
    if (status != IO_OK)
        connection_shut(connection);
    fiber_cond_broadcast(&connection->changed);
}

static void send_line(struct connection *connection, struct str *text)
{
    struct out_line *line = mem_alloc(sizeof *line);
    line->text = *text;
    *text = STR_EMPTY;
    STAILQ_INSERT_TAIL(&connection->out, line, link);
    write_queued(connection);
}

/* --- reading a line -------------------------------------------------------------------------------------------- */

/* One line without its end, added to `line`: what came of it before a timeout is already there. */
static enum io_status read_line(struct stream *stream, struct str *line, int64_t deadline)
{
    for (;;) {
        struct slice have = stream_buffered(stream);
        const char *end = have.len > 0 ? memchr(have.data, '\n', have.len) : NULL;
        size_t len = end != NULL ? (size_t)(end - have.data) : have.len;
        if (line->len + len > ANSWER_LIMIT)
            return IO_TOO_LONG;
        str_append_bytes(line, have.data, len);
        stream_consume(stream, end != NULL ? len + 1 : len);
        if (end != NULL)
            return IO_OK;
        enum io_status status = stream_fill(stream, deadline);
        if (status != IO_OK)
            return status;
    }
}

/* --- connecting ------------------------------------------------------------------------------------------------ */

/* A descriptor, or -1 with the reason logged. */
static int connect_through_lookup(const struct dovecot *dovecot)
{
    struct str question = STR_EMPTY, reply = STR_EMPTY;
    struct arena *arena = arena_new();
    int fd = -1;
    ipc_put_text(&question, dovecot->endpoint);
    ipc_put_u32(&question, CONNECT_S * 1000);
    enum ipc_status status = role_call(ROLE_LOOKUP, NULL, LOOKUP_CONNECT, str_slice(&question), &reply, &fd,
                                       deadline_in_s(CONNECT_S + 2));
    str_free(&question);
    if (status == IPC_OK) {
        struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
        bool ok = ipc_get_bool(&reader);
        (void)ipc_get_text(&reader, arena);
        (void)ipc_get_text(&reader, arena);
        const char *error = ipc_get_text(&reader, arena);
        if (!ipc_reader_finish(&reader) || ok != (fd >= 0))
            log_fatal("malformed answer of the lookup service to CONNECT");
        if (!ok)
            log_warning("SASL: Connect to Dovecot auth socket '%s' failed: %s", dovecot->path, error);
    } else
        log_warning("SASL: Connect to Dovecot auth socket '%s' failed: no answer from the lookup service", dovecot->path);
    str_free(&reply);
    arena_free(arena);
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : 0;
    if (fd >= 0 && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        log_fatal("cannot make a connection non-blocking: %m");
    return fd;
}

/* Dovecot tells its clients apart by a number that should be a process id; ours may be somebody else's in another
 * container, so it is one that no process has. */
static uint32_t client_number(void)
{
    uint32_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        log_fatal("getrandom: %m");
    return (number & 0x3fffffff) | 0x40000000;
}

static void forget_mechanisms(struct mechanism *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

/* One line of the handshake. NULL to go on, "" at its end, or what is wrong. */
static const char *take_handshake_line(const struct dovecot_line *line, bool *has_version, struct mechanism *list,
                                       size_t *count)
{
    if (line->word == DOVECOT_VERSION && line->id != 1)
        return "Protocol version mismatch";
    if (line->word == DOVECOT_VERSION)
        *has_version = true;
    else if (line->word == DOVECOT_MECH && *count < MECHANISM_LIMIT)
        list[(*count)++] = (struct mechanism){mem_strdup(line->mechanism), line->traits};
    else if (line->word == DOVECOT_OK || line->word == DOVECOT_FAIL || line->word == DOVECOT_CONT)
        return "Protocol error";
    else if (line->word == DOVECOT_DONE)
        return !*has_version ? "Protocol version error" : *count == 0 ? "no mechanisms, is it the auth-client socket?" : "";
    return NULL;
}

/* NULL when it went well, or what is wrong. */
static const char *shake_hands(struct dovecot *dovecot, struct stream *stream)
{
    struct mechanism *list = mem_alloc_array(MECHANISM_LIMIT, sizeof *list);
    size_t count = 0;
    bool has_version = false;
    const char *verdict = NULL;
    int64_t deadline = deadline_in_s(CONNECT_S);
    struct arena *arena = arena_new();
    struct str text = STR_EMPTY;
    stream_printf(stream, "VERSION\t1\t1\nCPID\t%u\n", client_number());
    if (stream_flush(stream, deadline) != IO_OK)
        verdict = "Couldn't send handshake";
    for (unsigned i = 0; verdict == NULL; i++) {
        struct dovecot_line line;
        enum io_status status = read_line(stream, &text, deadline);
        if (status != IO_OK)
            verdict = status == IO_TIMEOUT ? "no handshake in time" : "lost connection during the handshake";
        else if (i >= HANDSHAKE_LINES || !dovecot_line_parse(str_slice(&text), arena, &line))
            verdict = "Protocol error";
        else
            verdict = take_handshake_line(&line, &has_version, list, &count);
        str_clear(&text);
        arena_reset(arena);
    }
    str_free(&text);
    arena_free(arena);
    if (*verdict != '\0') {
        forget_mechanisms(list, count);
        return verdict;
    }
    forget_mechanisms(dovecot->mechanisms, dovecot->mechanism_count);
    dovecot->mechanisms = list;
    dovecot->mechanism_count = count;
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* False: nonsense. */
static bool take_line(struct connection *connection, const struct dovecot_line *line)
{
    struct request *request;
    if (line->word != DOVECOT_OK && line->word != DOVECOT_FAIL && line->word != DOVECOT_CONT)
        return true; /* it may tell of new mechanisms and of what is yet to be invented */
    HASH_FIND(hh, connection->requests, &line->id, sizeof line->id, request);
    if (request == NULL)
        return true; /* given up by its client */
    if (request->state != REQUEST_WAITING) /* an answer that nobody asked for must not be the next one's */
        return false;
    if (line->word == DOVECOT_CONT)
        request_answer(request, SASL_MORE, line->challenge, "");
    else if (line->word == DOVECOT_OK && *line->user == '\0')
        request_answer(request, SASL_UNAVAILABLE, "missing Dovecot server OK username field", "");
    else if (line->word == DOVECOT_OK)
        request_answer(request, SASL_DONE, "", line->user);
    else
        request_answer(request, line->is_temporary ? SASL_UNAVAILABLE : SASL_FAILED, line->reason, line->user);
    return true;
}

/* Until the connection ends, or nobody has used it for a while. */
static void read_answers(struct connection *connection)
{
    const char *path = connection->dovecot->path;
    struct arena *arena = arena_new();
    struct str text = STR_EMPTY;
    struct dovecot_line line;
    enum io_status status = IO_OK;
    while (status == IO_OK || (status == IO_TIMEOUT && connection->requests != NULL)) {
        status = read_line(&connection->stream, &text, deadline_in_s(IDLE_S));
        if (status == IO_OK && (!dovecot_line_parse(str_slice(&text), arena, &line) || !take_line(connection, &line))) {
            log_warning("SASL: Protocol error: malformed or unexpected line from '%s'", path);
            break;
        }
        if (status == IO_OK)
            str_clear(&text);
        arena_reset(arena);
    }
    str_free(&text);
    if (status == IO_TOO_LONG)
        log_warning("SASL: Protocol error: line too long from '%s'", path);
    arena_free(arena);
}

static void connection_end(struct connection *connection)
{
    struct request *request, *next;
    connection->state = CONNECTION_LOST;
    connection_retire(connection);
    HASH_ITER (hh, connection->requests, request, next) {
        HASH_DEL(connection->requests, request);
        request->connection = NULL;
        if (request->state != REQUEST_ANSWERED)
            request->state = REQUEST_LOST;
        fiber_cond_signal(&request->done);
    }
    if (connection->is_writing)
        connection_shut(connection);
    fiber_cond_broadcast(&connection->changed);
    while (connection->is_writing || connection->waiting > 0)
        if (fiber_cond_wait(&connection->changed, CLOCK_NEVER) == WAIT_CANCELLED)
            return;
    drop_output(connection);
    stream_close(&connection->stream);
    free(connection);
}

static void connection_fiber(void *arg)
{
    struct connection *connection = arg;
    struct dovecot *dovecot = connection->dovecot;
    int fd = connect_through_lookup(dovecot);
    stream_init(&connection->stream, fd);
    const char *problem = fd >= 0 ? shake_hands(dovecot, &connection->stream) : "";
    if (problem == NULL) {
        connection->state = CONNECTION_UP;
        fiber_cond_broadcast(&connection->changed);
        read_answers(connection);
    } else if (*problem != '\0')
        log_warning("SASL: %s ('%s')", problem, dovecot->path);
    connection_end(connection);
}

/* A connection for a new exchange, shared with others; NULL: it cannot be had now. */
static struct connection *connection_get(struct dovecot *dovecot)
{
    struct connection *connection = dovecot->current;
    if (connection != NULL && connection->state == CONNECTION_UP && clock_ms() - connection->made > LIFE_S * 1000) {
        connection_retire(connection);
        connection = NULL;
    }
    if (connection == NULL) {
        connection = dovecot->current = mem_alloc(sizeof *connection);
        connection->dovecot = dovecot;
        connection->made = clock_ms();
        STAILQ_INIT(&connection->out);
        fiber_spawn("dovecot", connection_fiber, connection);
    }
    connection->waiting++;
    while (connection->state == CONNECTION_OPENING)
        if (fiber_cond_wait(&connection->changed, CLOCK_NEVER) == WAIT_CANCELLED)
            break;
    connection->waiting--;
    fiber_cond_broadcast(&connection->changed);
    return connection->state == CONNECTION_UP ? connection : NULL;
}

/* --- what the exchange asks ------------------------------------------------------------------------------------------ */

static void dovecot_mechanisms(void *state, const struct sasl_client *client, struct arena *arena,
                               struct sasl_answer *answer)
{
    struct dovecot *dovecot = state;
    struct str list = STR_EMPTY;
    if (connection_get(dovecot) == NULL && dovecot->mechanism_count == 0) {
        answer_set(answer, SASL_UNAVAILABLE, "Can't connect to authentication server", arena);
        return;
    }
    for (size_t i = 0; i < dovecot->mechanism_count; i++)
        if (sasl_properties_allow(client->properties, dovecot->mechanisms[i].traits))
            str_printf(&list, "%s%s", list.len > 0 ? " " : "", dovecot->mechanisms[i].name);
    answer_set(answer, SASL_DONE, str_text(&list), arena);
    str_free(&list);
}

/* The name as the service wrote it; NULL: it has no such mechanism, or the options forbid it. Asked for another one the
 * service would hang up. */
static const char *find_mechanism(const struct dovecot *dovecot, const char *name, uint32_t properties)
{
    for (size_t i = 0; i < dovecot->mechanism_count; i++)
        if (slice_equal_nocase(slice_of(name), slice_of(dovecot->mechanisms[i].name)) &&
            sasl_properties_allow(properties, dovecot->mechanisms[i].traits))
            return dovecot->mechanisms[i].name;
    return NULL;
}

static bool is_base64(struct slice text)
{
    struct str decoded = STR_EMPTY;
    bool good = base64_decode(text, &decoded);
    secret_free(&decoded);
    return good;
}

static void put_parameter(struct str *line, const char *name, const char *value)
{
    str_printf(line, "\t%s=", name);
    dovecot_escape(slice_of(value), line);
}

static void put_request(struct str *line, const struct request *request, const struct sasl_client *client,
                        const char *mechanism, const struct slice *initial)
{
    str_reserve(line, 4096 + (initial != NULL ? initial->len : 0));
    str_printf(line, "AUTH\t%u\t%s", request->id, mechanism);
    put_parameter(line, "service", client->service);
    str_append(line, "\tnologin");
    put_parameter(line, "lip", client->server_address);
    put_parameter(line, "rip", client->client_address);
    put_parameter(line, "lport", client->server_port);
    put_parameter(line, "rport", client->client_port);
    if (client->is_encrypted)
        str_append(line, "\tsecured=tls");
    if (*client->certificate_name != '\0') {
        str_append(line, "\tvalid-client-cert");
        put_parameter(line, "cert_username", client->certificate_name);
    }
    if (initial != NULL) { /* last: it may not be followed by anything */
        str_append(line, "\tresp=");
        str_append_slice(line, *initial);
    }
    str_append_char(line, '\n');
}

/* Sends one line about the request and waits for what comes back. */
static void converse(struct request *request, struct str *line, struct arena *arena, struct sasl_answer *answer)
{
    int64_t deadline = deadline_in_ms(auth_timeout_ms());
    request->state = REQUEST_WAITING;
    send_line(request->connection, line);
    while (request->state == REQUEST_WAITING) {
        enum wait_status status = fiber_cond_wait(&request->done, deadline);
        if (request->state == REQUEST_WAITING && status != WAIT_OK)
            break;
    }
    if (request->state == REQUEST_ANSWERED) {
        answer_set(answer, request->answer.status, request->answer.text, arena);
        answer->login = arena_strdup(arena, request->answer.login);
        request->state = REQUEST_IDLE;
    } else if (request->state == REQUEST_LOST)
        answer_set(answer, SASL_UNAVAILABLE, "Connection lost to authentication server", arena);
    else
        answer_set(answer, SASL_UNAVAILABLE, "no answer from the authentication server", arena);
}

static void dovecot_start(struct exchange *exchange, const struct sasl_client *client, const char *name,
                          const struct slice *initial, struct arena *arena, struct sasl_answer *answer)
{
    struct dovecot *dovecot = exchange->backend->state;
    bool is_empty = initial != NULL && slice_equal(*initial, SLICE("="));
    struct request *request = NULL;
    /* A connection that was idle may have died unnoticed: the second try is on a fresh one. */
    for (unsigned attempt = 0; attempt < 2 && (request == NULL || request->state == REQUEST_LOST); attempt++) {
        struct str line = STR_EMPTY;
        if (request != NULL)
            request_free(request);
        request = NULL;
        exchange->progress = NULL;
        struct connection *connection = connection_get(dovecot);
        if (connection == NULL) {
            answer_set(answer, SASL_UNAVAILABLE, "Can't connect to authentication server", arena);
            return;
        }
        const char *mechanism = find_mechanism(dovecot, name, client->properties);
        if (mechanism == NULL) {
            answer_set(answer, SASL_FAILED, "Invalid authentication mechanism", arena);
            return;
        }
        if (initial != NULL && !is_empty && !is_base64(*initial)) {
            answer_set(answer, SASL_FAILED, "Invalid base64 data in initial response", arena);
            return;
        }
        exchange->progress = request = request_new(connection);
        put_request(&line, request, client, mechanism, initial); /* "=" means empty to Dovecot too */
        if (line.len > LINE_LIMIT) {
            secret_free(&line);
            answer_set(answer, SASL_FAILED, "response too long", arena);
            return;
        }
        converse(request, &line, arena, answer);
    }
}

static void dovecot_step(struct exchange *exchange, struct slice response, struct arena *arena,
                         struct sasl_answer *answer)
{
    struct request *request = exchange->progress;
    struct str line = STR_EMPTY;
    if (request->connection == NULL)
        answer_set(answer, SASL_UNAVAILABLE, "Connection lost to authentication server", arena);
    else if (!is_base64(response))
        answer_set(answer, SASL_FAILED, "Invalid base64 data in continued response", arena);
    else if (response.len > LINE_LIMIT - 64)
        answer_set(answer, SASL_FAILED, "response too long", arena);
    else {
        str_reserve(&line, 64 + response.len);
        str_printf(&line, "CONT\t%u\t", request->id);
        str_append_slice(&line, response);
        str_append_char(&line, '\n');
        converse(request, &line, arena, answer);
    }
}

/* Nobody waits for an answer any more. Dovecot forgets an unfinished request by itself; telling it (CANCEL) is
 * understood only by newer ones, and older ones would hang up. */
static void dovecot_drop(struct exchange *exchange)
{
    request_free(exchange->progress);
    exchange->progress = NULL;
}

const struct backend_driver dovecot_driver = {
    .mechanisms = dovecot_mechanisms,
    .start = dovecot_start,
    .step = dovecot_step,
    .drop = dovecot_drop,
};
