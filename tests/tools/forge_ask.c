/* SPDX-License-Identifier: ISC */
/*
 * forge_ask: a client that was taken over. First what is malformed for every server alike, then, for each server, what is
 * well-formed and must not be granted. Called by forge.c.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/dns/dns_protocol.h"
#include "common/dns/spf_protocol.h"
#include "common/mail/lookup_protocol.h"
#include "common/mail/queue_protocol.h"
#include "common/sasl/sasl_protocol.h"
#include "common/state/state_protocol.h"
#include "common/tls/keys_protocol.h"
#include "tests/tools/forge.h"

enum { REPLY_MS = 8000, FLOOD = 4000 };

static char edge[64];
static char big[1 << 20];

static int connect_client(enum role_id we)
{
    return target_connect(we, false);
}

static void judge(int fd, const char *attack, bool must_live)
{
    close(fd);
    target_judge(edge, attack, must_live);
}

/* --- malformed for everybody ------------------------------------------------------------------------------ */

struct packet {
    const char *name;
    const char *bytes;
    size_t len;
    bool may_live;
};

static const struct packet packets[] = {
    {"half a header", "\1\0\0\0\1", 5, false},
    {"longer than its packet", "\377\377\377\377\1\0\1\0\1\0\0\0", 12, false},
    {"flags that are none", "\0\0\0\0\1\0\0\200\1\0\0\0", 12, false},
    {"a type that is none", "\0\0\0\0\377\377\1\0\1\0\0\0", 12, false},
    {"a request without a number", "\0\0\0\0\1\0\1\0\0\0\0\0", 12, false},
    {"a descriptor that is not there", "\0\0\0\0\1\0\11\0\1\0\0\0", 12, false},
    {"an answer to nothing", "\0\0\0\0\1\0\2\0\7\0\0\0", 12, true},
    {"an answer and a request", "\0\0\0\0\1\0\3\0\7\0\0\0", 12, true},
};

static void send_malformed(enum role_id we)
{
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        int fd = connect_client(we);
        send_raw(fd, packets[i].bytes, packets[i].len, -1);
        judge(fd, packets[i].name, packets[i].may_live);
    }
}

static void send_endless(enum role_id we)
{
    int fd = connect_client(we);
    for (int i = 0; i < 1200; i++)
        if (!send_record(fd, 1, FLAG_REQUEST | FLAG_MORE, 1, slice_range(big, 60000), -1))
            break;
    judge(fd, "fragments without end", false);
}

/* Bodies that are lies about lengths and counts: one for each type of record. The decoders have fuzz targets of their own. */
static void send_lies(enum role_id we, uint16_t types, unsigned seed)
{
    static const struct slice lies[] = {{"", 0}, {"\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377", 16},
                                        {"\1\0\0\0\0\1\0\0\0\0\1\0\0\0\0\1\0\0\0\0\377\377\377\177", 24}};
    enum { KINDS = sizeof lies / sizeof lies[0] + 1 };
    char noise[300];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)((seed = seed * 1103515245 + 12345) >> 7);
    for (uint16_t type = 1; type <= types; type++) {
        bool is_noise = type % KINDS == 0;
        int fd = connect_client(we);
        send_record(fd, type, FLAG_REQUEST, 1, is_noise ? slice_range(noise, sizeof noise) : lies[type % KINDS - 1], -1);
        judge(fd, "lengths that are lies", false);
    }
}

static void send_wrong_descriptors(enum role_id we)
{
    int fd = connect_client(we);
    int passed = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    send_record(fd, 1, FLAG_REQUEST, 1, SLICE(""), passed);
    close(passed);
    judge(fd, "a directory that nobody asked for", false);
}

/* Well-formed, many times, and no answer is ever read. */
static void flood(enum role_id we, uint16_t type, struct slice body, const char *attack)
{
    int fd = connect_client(we);
    const uint32_t times = body.len > 1000 ? FLOOD / 10 : FLOOD;
    for (uint32_t i = 1; i <= times; i++) {
        static char packet[PACKET_SIZE];
        uint32_t length = (uint32_t)body.len;
        uint16_t words[2] = {type, FLAG_REQUEST};
        memcpy(packet, &length, 4);
        memcpy(packet + 4, words, 4);
        memcpy(packet + 8, &i, 4);
        memcpy(packet + HEADER_SIZE, body.data, body.len);
        if (send(fd, packet, HEADER_SIZE + body.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            usleep(i % 64 == 0 ? 1000 : 0); /* what it does not take is not asked */
    }
    judge(fd, attack, true);
}

/* --- one question, one answer -------------------------------------------------------------------------------- */

static bool ask(int fd, uint16_t type, struct str *body, struct record *answer, int *passed)
{
    send_record(fd, type, FLAG_REQUEST, 77, str_slice(body), -1);
    str_free(body);
    *passed = -1;
    while (receive_record(fd, REPLY_MS, answer, passed))
        if ((answer->flags & FLAG_REPLY) != 0 && answer->id == 77)
            return true;
    return false;
}

static struct slice body_of(const struct record *record)
{
    return slice_range(record->body, record->length);
}

/* --- lookup ---------------------------------------------------------------------------------------------------- */

static void ask_for_table(enum role_id we, const char *maps)
{
    struct str body = STR_EMPTY;
    struct record record;
    struct table_answer answer;
    struct arena *arena = arena_new();
    int passed, fd = connect_client(we);
    const struct table_question question = {(char *)(uintptr_t)maps, KEY_EXACT, (char *)(uintptr_t)"x", (char *)(uintptr_t)"root"};
    table_question_encode(&question, &body);
    bool answered = ask(fd, LOOKUP_FIND, &body, &record, &passed);
    must(!answered || (table_answer_decode(body_of(&record), arena, &answer) && answer.status != TABLE_FOUND), edge, maps,
         "a table that nobody configured was read");
    judge(fd, maps, true);
    arena_free(arena);
}

static void ask_for_connection(enum role_id we, const char *endpoint, bool may_connect)
{
    struct str body = STR_EMPTY;
    struct record record;
    int passed, fd = connect_client(we);
    ipc_put_text(&body, endpoint);
    ipc_put_u32(&body, 500);
    bool answered = ask(fd, LOOKUP_CONNECT, &body, &record, &passed);
    must(answered, edge, endpoint, "no answer to CONNECT");
    must(may_connect || passed < 0, edge, endpoint, "it was connected");
    if (passed >= 0)
        close(passed);
    judge(fd, endpoint, true);
}

static void ask_lookup(enum role_id we)
{
    static const char *const tables[] = {"texthash:/etc/shadow", "unix:group.byname", "hash:/etc/passwd",
        "pcre:/etc/shadow", "unionmap:{texthash:/etc/shadow}", "pipemap:{{{{{{", "sqlite:/etc/passwd", "tcp:127.0.0.1:25",
        "socketmap:unix:/run/dbus/system_bus_socket:x", "pgsql:/etc/shadow", "proxy:proxy:texthash:/etc/shadow", ":", ""};
    static const char *const endpoints[] = {"unix:/run/docker.sock", "inet:127.0.0.1:22", "inet:169.254.169.254:80",
        "unix:public/postqueue", "unix:/", "unix:", "inet:", "nothing", "inet:[::1:::]:x", ""};
    bool asks_tables = we == ROLE_SMTPD || we == ROLE_SUBMISSION || we == ROLE_VIRTUAL;
    bool asks_connections = we == ROLE_SMTPD || we == ROLE_SUBMISSION;
    for (size_t i = 0; asks_tables && i < sizeof tables / sizeof tables[0]; i++)
        ask_for_table(we, tables[i]);
    for (size_t i = 0; asks_connections && i < sizeof endpoints / sizeof endpoints[0]; i++)
        ask_for_connection(we, endpoints[i], false);
    if (we == ROLE_LMTP) {
        ask_for_connection(we, "unix:public/postqueue", false);
        ask_for_connection(we, "unix:/../../../../../../", false);
    }
    if (asks_connections || we == ROLE_QUEUE) {
        struct str body = STR_EMPTY;
        ipc_put_u8(&body, 255);
        memset(big, '(', 50000);
        ipc_put_slice(&body, slice_range(big, 50000));
        ipc_put_text(&body, "no such profile");
        flood(we, LOOKUP_ADDRESS, str_slice(&body), "ADDRESS of 50,000 brackets");
        str_free(&body);
    }
}

/* --- queue -------------------------------------------------------------------------------------------------------- */

static void submit(enum role_id we, const char *attack, const struct submission *submission)
{
    struct str body = STR_EMPTY;
    struct record record;
    int passed, fd = connect_client(we);
    submission_encode(submission, &body);
    bool answered = ask(fd, QUEUE_SUBMIT, &body, &record, &passed);
    must(!answered || record.length < 1 || record.body[0] != SUBMIT_OK, edge, attack, "it was taken");
    judge(fd, attack, false);
}

static void ask_queue(enum role_id we)
{
    struct recipient to = {(char *)(uintptr_t)"anna@example.test", (char *)(uintptr_t)"", (char *)(uintptr_t)"", 255};
    struct submission submission = {.serial = 5, .content = SLICE("Subject: x\n\ny\n"), .content_size = 14};
    submission.envelope = (struct envelope){.queue_id = "../../../5", .sender = (char *)(uintptr_t)"a@b\n",
        .recipients = &to, .recipient_count = 1, .flags = ~0u};
    submit(we, "a queue id that is a path", &submission);
    queue_id_make(submission.envelope.queue_id, 0, 6, false);
    submit(we, "another message's queue id", &submission);
    queue_id_make(submission.envelope.queue_id, 0, 5, false);
    submission.envelope.recipient_count = 0;
    submit(we, "no recipient", &submission);
    submission.envelope.recipient_count = 1;
    submission.in_file = true;
    submit(we, "a file that was not opened", &submission);
    submission.in_file = false;
    submission.content_size = UINT64_MAX - 3;
    submit(we, "a content of 2^64 bytes", &submission);
    struct str body = STR_EMPTY;
    ipc_put_u32(&body, 0x7fffffff);
    flood(we, QUEUE_IDS, SLICE(""), "IDS without end");
    int fd = connect_client(we);
    send_record(fd, QUEUE_ABANDON, 0, 0, str_slice(&body), -1);
    judge(fd, "ABANDON of nothing", true);
    fd = connect_client(we);
    for (uint32_t i = 0; i < 500; i++) { /* as many files as it opens, and none of them read */
        struct str serial = STR_EMPTY;
        ipc_put_u32(&serial, 1000000 + i);
        send_record(fd, QUEUE_SPOOL_OPEN, FLAG_REQUEST, i + 1, str_slice(&serial), -1);
        str_free(&serial);
    }
    judge(fd, "SPOOL_OPEN without end", true);
    str_free(&body);
}

/* --- resolver, state, keys, auth ------------------------------------------------------------------------------------ */

static void ask_resolver(enum role_id we)
{
    static const char *const names[] = {"", ".", "a..b", "\x80\xff", "x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x", "-", "*"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct str body = STR_EMPTY;
        int fd = connect_client(we);
        ipc_put_text(&body, names[i]);
        send_record(fd, DNS_PEERNAME, FLAG_REQUEST, 1, str_slice(&body), -1);
        ipc_put_u16(&body, DNS_MX);
        send_record(fd, DNS_QUERY, FLAG_REQUEST, 2, str_slice(&body), -1);
        str_free(&body);
        judge(fd, "odd names", true);
    }
    struct str body = STR_EMPTY;
    const struct spf_question question = {"127.0.0.1", "%{d}%{d}", "a@%{i}.example", "r", 3};
    spf_question_encode(&question, &body);
    flood(we, DNS_SPF, str_slice(&body), "SPF without end");
    str_free(&body);
}

static void ask_state(enum role_id we)
{
    struct str body = STR_EMPTY;
    struct state_question question = {.store = (char *)(uintptr_t)"a", .key = (char *)(uintptr_t)"b", .value = {big, 1000},
                                      .lifetime_s = UINT32_MAX, .amount = UINT32_MAX};
    state_question_encode(STATE_PUT, &question, &body);
    int fd = connect_client(we);
    for (int i = 0; i < 2000; i++)
        send_record(fd, STATE_PUT, 0, 0, str_slice(&body), -1);
    judge(fd, "PUT without end", true);
    str_clear(&body);
    question.window_count = 1;
    question.windows[0] = (struct state_window){0};
    state_question_encode(STATE_CHARGE, &question, &body);
    fd = connect_client(we);
    send_record(fd, STATE_CHARGE, FLAG_REQUEST, 1, str_slice(&body), -1);
    judge(fd, "a window of no length", false);
    str_clear(&body);
    question.key = (char *)(uintptr_t)"../../x";
    state_question_encode(STATE_GET, &question, &body);
    flood(we, STATE_GET, str_slice(&body), "GET without end");
    str_free(&body);
}

static void ask_keys(enum role_id we)
{
    static const unsigned char id[KEYS_ID_SIZE] = {1};
    const struct keys_sign sign = {id, KEYS_PADDING_PKCS1, (char *)(uintptr_t)"SHA256", SLICE("pay to the bearer")};
    struct str body = STR_EMPTY;
    struct record record;
    int passed, fd = connect_client(we);
    keys_sign_encode(&sign, &body);
    bool answered = ask(fd, KEYS_SIGN, &body, &record, &passed);
    must(answered && record.length >= 1 && record.body[0] == 0, edge, "SIGN", "it signed");
    judge(fd, "a signature below something", true);
    ipc_put_text(&body, "../../../etc/shadow");
    flood(we, KEYS_IDENTITY, str_slice(&body), "IDENTITY without end");
    str_free(&body);
}

static void ask_auth(enum role_id we)
{
    struct str body = STR_EMPTY;
    ipc_put_u64(&body, 1);
    int fd = connect_client(we);
    send_record(fd, SASL_ASK_CANCEL, 0, 0, str_slice(&body), -1);
    judge(fd, "CANCEL of nothing", true);
    str_clear(&body);
    const struct sasl_client client = {.type = 1, .path = (char *)(uintptr_t)"inet:127.0.0.1:22"};
    sasl_client_encode(&client, &body);
    fd = connect_client(we);
    send_record(fd, SASL_ASK_MECHANISMS, FLAG_REQUEST, 1, str_slice(&body), -1);
    judge(fd, "a backend that nobody configured", false);
    str_free(&body);
}

/* --- delivery agents --------------------------------------------------------------------------------------------------- */

static void deliver(const char *attack, int passed, uint64_t size, const char *next_hop, const char *address)
{
    struct str body = STR_EMPTY;
    struct delivery_recipient to = {~0u, {(char *)(uintptr_t)address, (char *)(uintptr_t)"", (char *)(uintptr_t)"", 255}};
    const struct delivery delivery = {
        .envelope = {.queue_id = "12345ABCDE", .sender = (char *)(uintptr_t)"a@b\r\nRCPT TO:<c>"},
        .transport = (char *)(uintptr_t)"lmtp", .next_hop = (char *)(uintptr_t)next_hop, .in_file = passed >= 0,
        .content_offset = passed >= 0 ? UINT64_MAX - 5 : 0, .content_size = size, .recipients = &to, .recipient_count = 1};
    int fd = connect_client(ROLE_QUEUE);
    delivery_encode(&delivery, &body);
    send_record(fd, passed >= 0 ? DELIVER_FD : DELIVER, FLAG_REQUEST, 1, str_slice(&body), passed);
    struct record record;
    (void)receive_record(fd, 300, &record, NULL);
    str_free(&body);
    judge(fd, attack, false);
}

static void ask_agent(enum role_id we)
{
    int ends[2];
    (void)we;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    static const char *const paths[] = {"/", "/dev/zero", "/proc/self/mem", "/dev/null"};
    deliver("a pipe that stays empty", ends[0], 100000, "inet:127.0.0.1:1", "a@example.test");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        int passed = open(paths[i], O_RDONLY | O_CLOEXEC);
        deliver(paths[i], passed, UINT64_MAX, "unix:/dev/null", "../../../../../tmp/x@example.test");
        close(passed);
    }
    deliver("no content where some is said", -1, 1 << 30, "", "a@example.test");
    deliver("a next hop that is none", -1, 0, "::::[[[", "\n@\n");
    close(ends[0]);
    close(ends[1]);
}

void ask_as_client(enum role_id we)
{
    static const struct { enum role_id role; uint16_t types; void (*ask)(enum role_id we); } servers[] = {
        {ROLE_LOOKUP, 9, ask_lookup}, {ROLE_QUEUE, 5, ask_queue}, {ROLE_RESOLVER, 3, ask_resolver},
        {ROLE_STATE, 4, ask_state}, {ROLE_KEYS, 2, ask_keys}, {ROLE_AUTH, 4, ask_auth},
        {ROLE_LMTP, 2, ask_agent}, {ROLE_VIRTUAL, 2, ask_agent}};
    static bool again; /* the channel is the same for all clients: what is malformed is tried by the first */
    snprintf(edge, sizeof edge, "%s -> %s", role_name(we), role_name(target_role));
    if (!again) {
        send_malformed(we);
        send_endless(we);
        send_wrong_descriptors(we);
    }
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++)
        if (servers[i].role == target_role) {
            if (!again)
                send_lies(we, servers[i].types, (unsigned)we);
            servers[i].ask(we);
        }
    again = true;
}
