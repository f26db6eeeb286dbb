/* SPDX-License-Identifier: ISC */
/*
 * The lmtp role between a queue and an LMTP server that are both played here: every way a server can answer,
 * lie, stall or die. A script is one line a step: "< text" is what the server says, "> text" what it must
 * hear (a prefix), "." the end of the content, "!" hang up, "~" say nothing any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/log.h"
#include "common/base/stream.h"
#include "common/mail/lookup_protocol.h"
#include "common/mail/queue_protocol.h"
#include "lmtp/role.h"

#define TEXT(literal) ((char *)(literal)) /* for fields that nobody writes to */
#define MOST_CONNECTIONS 3
#define MOST_RECIPIENTS 3

/* --- a server -------------------------------------------------------------------------- */

struct server {
    int fd;
    const char *script;
    struct stream stream;
    struct str heard;   /* everything the client sent as content */
    bool finished;
    char problem[200];
};

static struct server servers[MOST_CONNECTIONS];
static const char *const *scripts;
static unsigned connections;

static bool server_fail(struct server *server, const char *what, struct slice step, struct slice got)
{
    snprintf(server->problem, sizeof server->problem, "%s at \"%.*s\": \"%.*s\"", what, SLICE_ARGS(step),
             SLICE_ARGS(got));
    return false;
}

static bool server_hear(struct server *server, struct slice expected)
{
    struct slice line = {0};
    bool bare_lf;
    if (stream_read_line(&server->stream, 8000, &line, &bare_lf, deadline_in_s(5)) != IO_OK || bare_lf)
        return server_fail(server, "no line", expected, line);
    if (!slice_starts_with_nocase(line, expected))
        return server_fail(server, "other line", expected, line);
    return true;
}

static bool server_hear_content(struct server *server)
{
    struct slice line;
    bool bare_lf;
    for (;;) {
        if (stream_read_line(&server->stream, 8000, &line, &bare_lf, deadline_in_s(5)) != IO_OK || bare_lf)
            return server_fail(server, "content", SLICE("."), slice_range(NULL, 0));
        if (slice_equal(line, SLICE(".")))
            return true;
        str_append_slice(&server->heard, line);
        str_append_char(&server->heard, '|');
    }
}

static bool server_step(struct server *server, struct slice step)
{
    struct slice text = step.len > 2 ? slice_skip(step, 2) : slice_range(NULL, 0);
    switch (step.data[0]) {
    case '<':
        stream_printf(&server->stream, "%.*s\r\n", SLICE_ARGS(text));
        return true;
    case '>':
        return stream_flush(&server->stream, deadline_in_s(5)) == IO_OK && server_hear(server, text);
    case '.':
        return stream_flush(&server->stream, deadline_in_s(5)) == IO_OK && server_hear_content(server);
    case '~':
        return stream_flush(&server->stream, deadline_in_s(5)) == IO_OK &&
               fiber_sleep_until(deadline_in_ms(1500)) == WAIT_OK;
    case '*': /* a reply without end */
        for (unsigned i = 0; i < 2000; i++)
            stream_printf(&server->stream, "250-%0*u\r\n", 100, i);
        return stream_flush(&server->stream, deadline_in_s(1)) != IO_TIMEOUT;
    case '_': /* a line without end */
        stream_printf(&server->stream, "250 %0*u", 100000, 7);
        return stream_flush(&server->stream, deadline_in_s(1)) != IO_TIMEOUT;
    default:
        return stream_flush(&server->stream, deadline_in_s(5)) == IO_OK;
    }
}

static void server_run(void *arg)
{
    struct server *server = arg;
    struct slice rest = slice_of(server->script), step;
    bool hangs_up = false, good = true;
    stream_init(&server->stream, server->fd);
    while (good && !hangs_up && slice_next_token(&rest, "\n", &step)) {
        good = server_step(server, step);
        hangs_up = step.data[0] == '!';
    }
    if (good && !hangs_up) {
        struct slice line;
        good = stream_flush(&server->stream, deadline_in_s(5)) == IO_OK;
        while (stream_read_line(&server->stream, 8000, &line, NULL, deadline_in_s(20)) == IO_OK) {
            if (slice_equal(line, SLICE("QUIT"))) {
                stream_printf(&server->stream, "221 bye\r\n");
                if (stream_flush(&server->stream, deadline_in_s(5)) != IO_OK)
                    break;
            }
        }
    }
    stream_close(&server->stream);
    server->finished = true;
}

/* --- what the role needs of its surroundings ------------------------------------------------ */

static struct config *config;
static const char *connect_error;

enum ipc_status role_call(enum role_id peer, const char *service, uint16_t type, struct slice body,
                          struct str *reply, int *reply_fd, int64_t deadline)
{
    int fds[2];
    (void)service;
    (void)deadline;
    assert_int_equal(peer, ROLE_LOOKUP);
    assert_int_equal(type, LOOKUP_CONNECT);
    struct ipc_reader reader = ipc_reader_of(body);
    struct arena *arena = arena_new();
    assert_string_equal(ipc_get_text(&reader, arena), "unix:private/dovecot-lmtp");
    assert_true(ipc_get_u32(&reader) > 0 && ipc_reader_finish(&reader));
    arena_free(arena);
    ipc_put_bool(reply, connect_error == NULL);
    ipc_put_text(reply, "");
    ipc_put_text(reply, "");
    ipc_put_text(reply, connect_error);
    *reply_fd = -1;
    if (connect_error != NULL)
        return IPC_OK;
    assert_true(connections < MOST_CONNECTIONS && scripts[connections] != NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct server *server = &servers[connections++];
    str_free(&server->heard);
    *server = (struct server){.fd = fds[1], .script = scripts[connections - 1]};
    fiber_spawn("server", server_run, server);
    *reply_fd = fds[0];
    return IPC_OK;
}

void role_finished(void)
{
}

bool role_is_draining(void)
{
    return false;
}

/* --- the queue ----------------------------------------------------------------------------------- */

static struct ipc_channel *queue;
static int log_fd;

static const struct ipc_edge queue_edge = {"queue->lmtp", IPC_FROM_CLIENT, NULL, 0, NULL};

/* cmocka's own words are lost on a fiber's stack. */
#define give_up(...)                                                                                              \
    do {                                                                                                          \
        fprintf(stderr, __VA_ARGS__);                                                                             \
        fputc('\n', stderr);                                                                                      \
        fail();                                                                                                   \
    } while (0)

struct expectation {
    enum delivery_status status;
    const char *dsn, *reason;
};

struct scenario {
    const char *name;
    const char *scripts[MOST_CONNECTIONS + 1];
    unsigned recipients;
    struct expectation results[MOST_RECIPIENTS];
    bool unreachable;
    unsigned deliveries;      /* the same message again; 0 means 1; results are the last one's */
    const char *heard;        /* content the last connection got, lines with '|' */
    const char *content;      /* NULL: a short one */
    const char *connect_error;
    bool is_damaged;          /* the hash is wrong */
    unsigned flags;           /* of the envelope */
    const char *sender;
};

static const char default_content[] = "Subject: x\n\n.dot\n";

static void delivery_fill(const struct scenario *scenario, struct delivery_recipient *to, struct delivery *delivery)
{
    static const char *const addresses[MOST_RECIPIENTS] = {"a@x", "b@x", "c@x"};
    const char *content = scenario->content != NULL ? scenario->content : default_content;
    for (unsigned i = 0; i < scenario->recipients; i++)
        to[i] = (struct delivery_recipient){
            i, {TEXT(addresses[i]), TEXT(addresses[i]), TEXT(""), 0}};
    *delivery = (struct delivery){
        .transport = TEXT("lmtp"), .next_hop = TEXT("unix:private/dovecot-lmtp"), .active_us = wall_us(),
        .content = slice_of(content), .content_size = strlen(content),
        .content_hash = XXH3_64bits(content, strlen(content)) ^ (scenario->is_damaged ? 1 : 0),
        .recipients = to, .recipient_count = scenario->recipients,
    };
    delivery->envelope = (struct envelope){
        .queue_id = "4F2A1", .arrival_us = wall_us(), .flags = scenario->flags,
        .sender = TEXT(scenario->sender != NULL ? scenario->sender : "s@y"), .dsn_envelope_id = TEXT("")};
}

static void deliver_once(const struct scenario *scenario, struct arena *arena, struct delivery_result *result)
{
    struct delivery_recipient to[MOST_RECIPIENTS];
    struct delivery delivery;
    struct str question = STR_EMPTY, reply = STR_EMPTY;
    delivery_fill(scenario, to, &delivery);
    delivery_encode(&delivery, &question);
    assert_int_equal(ipc_call(queue, DELIVER, str_slice(&question), -1, &reply, NULL, deadline_in_s(20)), IPC_OK);
    assert_true(delivery_result_decode(str_slice(&reply), arena, result));
    str_free(&question);
    str_free(&reply);
}

static void scenario_check(const struct scenario *scenario, const struct delivery_result *result)
{
    assert_int_equal(result->recipient_count, scenario->recipients);
    for (unsigned i = 0; i < scenario->recipients; i++) {
        const struct recipient_result *got = &result->recipients[i];
        const struct expectation *wanted = &scenario->results[i];
        if (got->status != wanted->status || strcmp(got->dsn, wanted->dsn) != 0 ||
            strcmp(got->reason, wanted->reason) != 0)
            give_up("%s, recipient %u: %d %s %s", scenario->name, i, got->status, got->dsn, got->reason);
        assert_int_equal(got->index, i);
    }
    if (result->host_unreachable != scenario->unreachable)
        give_up("%s: unreachable is %d (%s)", scenario->name, result->host_unreachable, result->reason);
}

static void scenario_run(const struct scenario *scenario)
{
    struct delivery_result result;
    unsigned expected = 0;
    struct arena *arena = arena_new();
    scripts = scenario->scripts;
    connections = 0;
    connect_error = scenario->connect_error;
    for (unsigned i = 0; i < (scenario->deliveries > 0 ? scenario->deliveries : 1); i++) {
        deliver_once(scenario, arena, &result);
        /* A server that hangs up after its last answer gets the time to do it. */
        assert_int_equal(fiber_sleep_until(deadline_in_ms(5)), WAIT_OK);
    }
    scenario_check(scenario, &result);
    while (scenario->scripts[expected] != NULL)
        expected++;
    if (connections != expected)
        give_up("%s: %u connections", scenario->name, connections);
    for (unsigned i = 0; i < connections; i++)
        if (servers[i].problem[0] != '\0')
            give_up("%s: server %u: %s", scenario->name, i, servers[i].problem);
    if (scenario->heard != NULL)
        assert_string_equal(str_text(&servers[connections - 1].heard), scenario->heard);
    arena_free(arena);
    lmtp_role.drain(); /* no connection may be left for the next scenario */
    for (unsigned i = 0; i < connections; i++)
        while (!servers[i].finished)
            assert_int_equal(fiber_sleep_until(deadline_in_ms(5)), WAIT_OK);
}

/* --- the scenarios ---------------------------------------------------------------------------------- */

#define HELLO "< 220 mx LMTP\n> LHLO me.example\n< 250-mx\n< 250-PIPELINING\n< 250-ENHANCEDSTATUSCODES\n< 250 8BITMIME\n"
#define ENVELOPE "> MAIL FROM:<s@y>\n> RCPT TO:<a@x>\n> DATA\n"
#define ACCEPT "< 250 2.1.0 OK\n< 250 2.1.5 OK\n< 354 go\n"
#define ENVELOPE_3 "> MAIL FROM:<s@y>\n> RCPT TO:<a@x>\n> RCPT TO:<b@x>\n> RCPT TO:<c@x>\n> DATA\n"
#define ME "me.example[private/dovecot-lmtp]"
#define SENT DELIVERY_SENT
#define LATER DELIVERY_DEFERRED
#define NEVER DELIVERY_BOUNCED

static const struct scenario scenarios[] = {
    {"all is well", {HELLO ENVELOPE ACCEPT ".\n< 250 2.0.0 <a@x> saved\n"}, 1,
     .results = {{SENT, "2.0.0", "250 2.0.0 <a@x> saved"}}, .heard = "Subject: x||..dot|"},
    {"no pipelining", {"< 220 mx\n> LHLO me.example\n< 250 mx\n> MAIL FROM:<s@y>\n< 250 ok\n> RCPT TO:<a@x>\n< 250 ok\n"
                       "> DATA\n< 354 go\n.\n< 250 done\n"}, 1, .results = {{SENT, "2.0.0", "250 done"}}},
    {"three recipients, three answers",
     {HELLO ENVELOPE_3 "< 250 ok\n< 250 ok\n< 550-5.1.1 <b@x>... User\n< 550 5.1.1 unknown\n< 250 ok\n< 354 go\n.\n"
      "< 250 2.0.0 <a@x> saved\n< 452 4.2.2 <c@x> Quota exceeded\n"}, 3,
     .results = {{SENT, "2.0.0", "250 2.0.0 <a@x> saved"},
      {NEVER, "5.1.1", "host " ME " said: 550-5.1.1 <b@x>... User 550 5.1.1 unknown (in reply to RCPT TO command)"},
      {LATER, "4.2.2", "host " ME " said: 452 4.2.2 <c@x> Quota exceeded (in reply to end of DATA command)"}}},
    {"sender refused", {HELLO ENVELOPE "< 451 4.3.0 not now\n< 503 no MAIL\n< 503 no RCPT\n"}, 1,
     .results = {{LATER, "4.3.0", "host " ME " said: 451 4.3.0 not now (in reply to MAIL FROM command)"}}},
    {"nobody accepted, then again over the same connection",
     {HELLO ENVELOPE "< 250 ok\n< 550 5.1.1 no\n< 503 5.5.1 no\n> RSET\n" ENVELOPE
      "< 250 reset\n< 250 ok\n< 550 5.1.1 still no\n< 503 5.5.1 no\n"}, 1,
     .results = {{NEVER, "5.1.1", "host " ME " said: 550 5.1.1 still no (in reply to RCPT TO command)"}}, .deliveries = 2},
    {"DATA refused", {HELLO ENVELOPE "< 250 ok\n< 250 ok\n< 451 4.3.1 full\n"}, 1,
     .results = {{LATER, "4.3.1", "host " ME " said: 451 4.3.1 full (in reply to DATA command)"}}},
    {"nobody accepted but DATA is: hang up", {HELLO ENVELOPE "< 250 ok\n< 550 5.1.1 no\n< 354 go\n",
                                              HELLO ENVELOPE ACCEPT ".\n< 250 ok\n"}, 1,
     .results = {{SENT, "2.0.0", "250 ok"}}, .deliveries = 2},
    {"the connection is used again", {HELLO ENVELOPE ACCEPT ".\n< 250 one\n" ENVELOPE ACCEPT ".\n< 250 two\n" ENVELOPE
                                      ACCEPT ".\n< 250 three\n"}, 1,
     .results = {{SENT, "2.0.0", "250 three"}}, .deliveries = 3},
    {"a kept connection closed meanwhile", {HELLO ENVELOPE ACCEPT ".\n< 250 one\n!\n", HELLO ENVELOPE ACCEPT
                                            ".\n< 250 two\n"}, 1,
     .results = {{SENT, "2.0.0", "250 two"}}, .deliveries = 2},
    {"a kept connection closes when used", {HELLO ENVELOPE ACCEPT ".\n< 250 one\n> MAIL\n!\n", HELLO ENVELOPE ACCEPT
                                            ".\n< 250 two\n"}, 1,
     .results = {{SENT, "2.0.0", "250 two"}}, .deliveries = 2},
    {"a kept connection answers 421 when used",
     {HELLO ENVELOPE ACCEPT ".\n< 250 one\n" ENVELOPE "< 421 4.4.2 idle too long\n!\n", HELLO ENVELOPE ACCEPT
      ".\n< 250 two\n"}, 1,
     .results = {{SENT, "2.0.0", "250 two"}}, .deliveries = 2},
    {"RSET refused", {HELLO ENVELOPE "< 250 ok\n< 450 4.2.1 no\n< 503 no\n> RSET\n" ENVELOPE
                      "< 500 what\n< 503 no\n< 503 no\n< 503 no\n", HELLO ENVELOPE ACCEPT ".\n< 250 two\n"}, 1,
     .results = {{SENT, "2.0.0", "250 two"}}, .deliveries = 2},
    {"connection refused", {NULL}, 1,
     .results = {{LATER, "4.4.1", "connect to " ME ": Connection refused"}}, .unreachable = true,
     .connect_error = "Connection refused"},
    {"greeting 4xx", {"< 421 4.3.2 too busy\n"}, 1,
     .results = {{LATER, "4.3.2", "host " ME " refused to talk to me: 421 4.3.2 too busy"}}, .unreachable = true},
    {"greeting 5xx", {"< 554 5.3.2 go away\n"}, 1,
     .results = {{LATER, "4.3.2", "host " ME " refused to talk to me: 554 5.3.2 go away"}}, .unreachable = true},
    {"LHLO refused", {"< 220 hi\n> LHLO\n< 500 5.5.1 not LMTP\n"}, 1,
     .results = {{NEVER, "5.5.1", "host " ME " refused to talk to me: 500 5.5.1 not LMTP"}}, .unreachable = true},
    {"too large for the server", {"< 220 hi\n> LHLO\n< 250-mx\n< 250 SIZE 5\n"}, 1,
     .results = {{NEVER, "5.3.4", "message size 17 exceeds size limit 5 of server " ME}}},
    {"SMTPUTF8 is missing", {HELLO}, 1,
     .results = {{NEVER, "5.6.7", "SMTPUTF8 is required, but was not offered by host " ME}}, .flags = ENVELOPE_SMTPUTF8,
     .content = "Subject: \xc3\xbc\n\n"},
    {"an address with a line end", {HELLO}, 1, .results = {{NEVER, "5.1.7", "bad sender address syntax"}},
     .sender = "s@y>\r\nDATA"},
    {"content is normalised", {HELLO ENVELOPE ACCEPT ".\n< 250 ok\n"}, 1, .results = {{SENT, "2.0.0", "250 ok"}},
     .content = "a\n\r.\r\n.\nb", .heard = "a| . |..|b|"},
    {"damaged content is never completed", {HELLO "> MAIL\n> RCPT\n> DATA\n" ACCEPT}, 1,
     .results = {{DELIVERY_CORRUPT, "4.3.0", "queue file is damaged"}}, .is_damaged = true},

    /* dying */
    {"dies before the greeting", {"!\n"}, 1,
     .results = {{LATER, "4.4.2", "lost connection with " ME " while receiving the initial server greeting"}},
     .unreachable = true},
    {"dies at LHLO", {"< 220 hi\n> LHLO\n!\n"}, 1,
     .results = {{LATER, "4.4.2", "lost connection with " ME " while performing the LHLO handshake"}}, .unreachable = true},
    {"dies at MAIL", {HELLO "> MAIL\n> RCPT\n> DATA\n!\n"}, 1,
     .results = {{LATER, "4.4.2", "lost connection with " ME " while sending MAIL FROM"}}, .unreachable = true},
    {"dies at RCPT", {HELLO ENVELOPE "< 250 ok\n!\n"}, 1,
     .results = {{LATER, "4.4.2", "lost connection with " ME " while sending RCPT TO"}}, .unreachable = true},
    {"dies at the second RCPT", {HELLO ENVELOPE_3 "< 250 ok\n< 550 5.1.1 no\n!\n"}, 3,
     .results = {{NEVER, "5.1.1", "host " ME " said: 550 5.1.1 no (in reply to RCPT TO command)"},
      {LATER, "4.4.2", "lost connection with " ME " while sending RCPT TO"},
      {LATER, "4.4.2", "lost connection with " ME " while sending RCPT TO"}}, .unreachable = true},
    {"dies at DATA", {HELLO ENVELOPE "< 250 ok\n< 250 ok\n!\n"}, 1,
     .results = {{LATER, "4.4.2", "lost connection with " ME " while sending DATA command"}}, .unreachable = true},
    {"dies after the content", {HELLO ENVELOPE ACCEPT ".\n!\n"}, 1,
     .results = {{LATER, "4.4.2", "lost connection with " ME
       " while sending end of data -- message may be sent more than once"}}, .unreachable = true},
    {"dies between two final answers",
     {HELLO ENVELOPE_3 "< 250 ok\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\n.\n< 250 one\n!\n"}, 3,
     .results = {{SENT, "2.0.0", "250 one"},
      {LATER, "4.4.2", "lost connection with " ME
       " while sending end of data -- message may be sent more than once"},
      {LATER, "4.4.2", "lost connection with " ME
       " while sending end of data -- message may be sent more than once"}}, .unreachable = true},

    /* attack 9: lies */
    {"answers before the questions", {"< 220 hi\n< 250 hi\n< 250 ok\n< 250 ok\n< 354 go\n< 250 delivered\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME
       " sent a malformed reply while receiving the initial server greeting"}}, .unreachable = true},
    {"answers to MAIL with those to LHLO", {HELLO "< 250 ok\n< 250 ok\n< 354 go\n< 250 delivered\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " sent a malformed reply while performing the LHLO handshake"}},
     .unreachable = true},
    {"a final answer before the content", {HELLO ENVELOPE ACCEPT "< 250 2.0.0 delivered\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " sent a malformed reply while sending DATA command"}},
     .unreachable = true},
    {"one answer too many at RCPT", {HELLO ENVELOPE "< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " said: 250 ok (in reply to DATA command)"}},
     .unreachable = true},
    {"DATA answered with 250", {HELLO ENVELOPE "< 250 ok\n< 250 ok\n< 250 delivered\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " said: 250 delivered (in reply to DATA command)"}},
     .unreachable = true},
    {"RCPT answered with 354", {HELLO ENVELOPE "< 250 ok\n< 354 go\n< 354 go\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " said: 354 go (in reply to RCPT TO command)"}},
     .unreachable = true},
    {"the content answered with 354", {HELLO ENVELOPE ACCEPT ".\n< 354 go\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " said: 354 go (in reply to end of DATA command)"}},
     .unreachable = true},
    {"mixed codes", {HELLO ENVELOPE "< 250 ok\n< 550-no\n< 250 ok\n< 354 go\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " sent a malformed reply while sending RCPT TO"}},
     .unreachable = true},
    {"garbage among the answers", {HELLO ENVELOPE "< 250 ok\n< what?\n< 250 ok\n< 354 go\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " sent a malformed reply while sending RCPT TO"}},
     .unreachable = true},
    {"a reply without end", {HELLO ENVELOPE "< 250 ok\n*\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " sent a malformed reply while sending RCPT TO"}},
     .unreachable = true},
    {"a line without end", {HELLO ENVELOPE "< 250 ok\n_\n"}, 1,
     .results = {{LATER, "4.5.0", "Protocol error: host " ME " sent a malformed reply while sending RCPT TO"}},
     .unreachable = true},
    {"more final answers than recipients", {HELLO ENVELOPE ACCEPT ".\n< 250 one\n< 250 what\n",
                                            HELLO ENVELOPE ACCEPT ".\n< 250 two\n"}, 1,
     .results = {{SENT, "2.0.0", "250 two"}}, .deliveries = 2},
};

static void all_scenarios(void *done)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        scenario_run(&scenarios[i]);
    *(bool *)done = true;
    fiber_loop_stop();
}

static const struct scenario stalls[] = {
    {"stalls before the greeting", {"~\n"}, 1,
     .results = {{LATER, "4.4.2", "conversation with " ME " timed out while receiving the initial server greeting"}},
     .unreachable = true},
    {"stalls at RCPT", {HELLO ENVELOPE "< 250 ok\n~\n"}, 1,
     .results = {{LATER, "4.4.2", "conversation with " ME " timed out while sending RCPT TO"}}, .unreachable = true},
    {"stalls after the content", {HELLO ENVELOPE ACCEPT ".\n~\n"}, 1,
     .results = {{LATER, "4.4.2", "conversation with " ME
       " timed out while sending end of data -- message may be sent more than once"}}, .unreachable = true},
};

static void all_stalls(void *done)
{
    for (size_t i = 0; i < sizeof stalls / sizeof stalls[0]; i++)
        scenario_run(&stalls[i]);
    *(bool *)done = true;
    fiber_loop_stop();
}

/* --- around the tests -------------------------------------------------------------------------------------- */

static void run_on_fiber(void (*run)(void *done))
{
    bool done = false;
    fiber_spawn("test", run, &done);
    fiber_loop_run();
    assert_true(done);
}

static void test_scenarios(void **state)
{
    (void)state;
    run_on_fiber(all_scenarios);
}

static void test_stalls(void **state)
{
    (void)state;
    run_on_fiber(all_stalls);
}

static void logged_delivery(void *done)
{
    char text[4096];
    static const struct scenario scenario = {
        "log", {HELLO ENVELOPE ACCEPT ".\n< 250 one\n" ENVELOPE ACCEPT ".\n< 250 two\n"}, 1,
        .results = {{SENT, "2.0.0", "250 two"}}, .deliveries = 2};
    log_flush();
    off_t start = lseek(log_fd, 0, SEEK_END);
    scenario_run(&scenario);
    log_flush();
    ssize_t len = pread(log_fd, text, sizeof text - 1, start);
    assert_true(len > 0);
    text[len] = '\0';
    assert_non_null(strstr(text, ": 4F2A1: to=<a@x>, relay=" ME ", delay="));
    assert_non_null(strstr(text, ": 4F2A1: to=<a@x>, relay=" ME ", conn_use=2, delay="));
    assert_non_null(strstr(text, ", dsn=2.0.0, status=sent (250 two)\n"));
    *(bool *)done = true;
    fiber_loop_stop();
}

static void test_log(void **state)
{
    (void)state;
    run_on_fiber(logged_delivery);
}

static int set_up(void **state)
{
    int fds[2];
    (void)state;
    config = config_new_default();
    config_set(config, "myhostname", "me.example");
    static const char *const timeouts[] = {"lmtp_lhlo_timeout", "lmtp_mail_timeout", "lmtp_rcpt_timeout",
                                           "lmtp_data_init_timeout", "lmtp_data_done_timeout",
                                           "lmtp_rset_timeout", "lmtp_quit_timeout"};
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++)
        config_set(config, timeouts[i], "1s");
    log_fd = memfd_create("log", 0);
    log_open(&(struct log_options){.sink = LOG_TO_FILE, .fd = dup(log_fd), .syslog_name = "postfix",
                                   .component = "lmtp", .host_name = "me"});
    fiber_loop_init();
    ipc_socket_pair(fds);
    lmtp_role.start(&(struct role_start){.config = config, .service = "lmtp"});
    ipc_open(lmtp_role.edge(ROLE_QUEUE), fds[0], NULL);
    queue = ipc_open(&queue_edge, fds[1], NULL);
    return log_fd < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenarios), cmocka_unit_test(test_log), cmocka_unit_test(test_stalls),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
