/* SPDX-License-Identifier: ISC */
/* Channels whose other side does not do its part: it asks and never reads, never answers, never reads; no descriptor is free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/process/ipc.h"
#include "common/process/ipc_socket.h"

enum { ECHO = 1, SILENT = 2, OPEN = 3, REQUEST_HEADER = 12, LENGTH = 50000 };
#define HIGH_WATER (4u * 1024 * 1024)

static size_t handled;
static uint32_t *kept;

static void on_echo(struct ipc_channel *channel, struct ipc_message *message)
{
    handled++;
    ipc_reply(channel, message->id, message->body, -1);
}

static void on_silent(struct ipc_channel *channel, struct ipc_message *message)
{
    (void)channel;
    kept[handled++] = message->id;
}

static void on_open(struct ipc_channel *channel, struct ipc_message *message)
{
    ipc_reply(channel, message->id, SLICE("fd"), STDERR_FILENO);
}

static const struct ipc_rule rules[] = {
    {ECHO, "echo", IPC_REQUEST, false, IPC_ANY_STATE, 1 << 20, on_echo},
    {SILENT, "silent", IPC_REQUEST, false, IPC_ANY_STATE, 100, on_silent},
    {OPEN, "open", IPC_REQUEST, false, IPC_ANY_STATE, 0, on_open},
};
static const struct ipc_edge server_edge = {"test->server", IPC_FROM_CLIENT, rules, 3, NULL};
static const struct ipc_edge client_edge = {"server->test", IPC_FROM_CLIENT, NULL, 0, NULL};

static void rest(int64_t ms)
{
    assert_int_equal(fiber_sleep_until(deadline_in_ms(ms)), WAIT_OK);
}

static size_t request(char *packet, uint8_t type, uint32_t id, uint32_t length)
{
    uint16_t words[2] = {type, 1};
    memcpy(packet, &length, sizeof length);
    memcpy(packet + 4, words, sizeof words);
    memcpy(packet + 8, &id, sizeof id);
    return REQUEST_HEADER + length;
}

static void ask_without_reading(void *arg)
{
    (void)arg;
    static char packet[REQUEST_HEADER + LENGTH];
    int fds[2];
    size_t sent = 0, size = request(packet, ECHO, 1, LENGTH), most = 0;
    ipc_socket_pair(fds);
    struct ipc_channel *server = ipc_open(&server_edge, fds[0], NULL);
    handled = 0;
    for (int idle = 0; idle < 20;) {
        bool taken = write(fds[1], packet, size) == (ssize_t)size;
        sent += taken;
        idle = taken ? 0 : idle + 1;
        rest(taken && sent % 16 != 0 ? 0 : 1);
        if (ipc_queued(server) > most)
            most = ipc_queued(server);
    }
    assert_in_range(most, HIGH_WATER / 2, HIGH_WATER + 32 * size);
    /* It reads after all: everything that was asked is answered. */
    while (handled < sent) {
        static char answer[65536];
        while (read(fds[1], answer, sizeof answer) > 0)
            continue;
        rest(1);
    }
    close(fds[1]);
    rest(5);
    fiber_loop_stop();
}

static void who_does_not_read_is_not_listened_to(void **state)
{
    (void)state;
    fiber_spawn("asker", ask_without_reading, NULL);
    fiber_loop_run();
    assert_int_equal(fiber_count(), 0);
}

static void ask_too_much(void *arg)
{
    (void)arg;
    enum { LIMIT = 16384, MORE = 100, ALL = LIMIT + MORE };
    static char packet[REQUEST_HEADER];
    int fds[2];
    ipc_socket_pair(fds);
    struct ipc_channel *server = ipc_open(&server_edge, fds[0], NULL);
    handled = 0;
    kept = mem_alloc_array(ALL, sizeof *kept);
    for (uint32_t id = 1; id <= ALL;)
        if (write(fds[1], packet, request(packet, SILENT, id, 0)) > 0)
            id++;
        else
            rest(1);
    for (int i = 0; i < 4000 && handled < LIMIT; i++)
        rest(5);
    rest(5);
    assert_int_equal(handled, LIMIT);
    for (size_t i = 0; i < MORE; i++)
        ipc_reply(server, kept[i], SLICE(""), -1);
    for (int i = 0; i < 4000 && handled < ALL; i++)
        rest(5);
    assert_int_equal(handled, ALL);
    close(fds[1]);
    for (int i = 0; i < MORE; i++) /* it is not read again until something is answered */
        ipc_reply(server, kept[MORE + i], SLICE(""), -1);
    rest(5);
    free(kept);
    fiber_loop_stop();
}

static void who_asks_too_much_waits(void **state)
{
    (void)state;
    fiber_spawn("asker", ask_too_much, NULL);
    fiber_loop_run();
    assert_int_equal(fiber_count(), 0);
}

static unsigned timeouts, answers;

static void caller(void *arg)
{
    static char body[LENGTH];
    struct str reply;
    enum ipc_status status = ipc_call(arg, ECHO, slice_range(body, sizeof body), -1, &reply, NULL, deadline_in_ms(400));
    timeouts += status == IPC_TIMEOUT;
    answers += status == IPC_OK;
    str_free(&reply);
}

/* A stopped neighbour: callers come and give up, and nothing piles up. */
static void call_a_stopped_peer(void *arg)
{
    (void)arg;
    int fds[2];
    ipc_socket_pair(fds);
    struct ipc_channel *client = ipc_open(&client_edge, fds[1], NULL);
    timeouts = answers = 0;
    for (int i = 0; i < 300; i++) {
        fiber_spawn("caller", caller, client);
        rest(0);
    }
    assert_in_range(ipc_queued(client), HIGH_WATER - LENGTH, HIGH_WATER + 4 * LENGTH);
    for (int i = 0; i < 200 && timeouts < 300; i++)
        rest(10);
    assert_int_equal(timeouts, 300);
    struct ipc_channel *server = ipc_open(&server_edge, fds[0], NULL);
    rest(100);
    fiber_spawn("caller", caller, client); /* it goes on */
    for (int i = 0; i < 100 && answers == 0; i++)
        rest(5);
    assert_int_equal(answers, 1);
    assert_int_equal(ipc_queued(client), 0);
    ipc_close(client);
    rest(5);
    (void)server;
    fiber_loop_stop();
}

static void calls_to_a_stopped_peer_do_not_pile_up(void **state)
{
    (void)state;
    fiber_spawn("stopped", call_a_stopped_peer, NULL);
    fiber_loop_run();
}

/* The descriptor of an answer finds no place here: the answer comes without it, and the channel lives. */
static int received;

static void open_caller(void *arg)
{
    struct str reply;
    assert_int_equal(ipc_call(arg, OPEN, SLICE(""), -1, &reply, &received, deadline_in_s(5)), IPC_OK);
    answers++;
    str_free(&reply);
}

static void answer_with_descriptor(struct ipc_channel *client, int peer, bool is_full)
{
    char packet[REQUEST_HEADER];
    struct rlimit before, low;
    int lowest = dup(STDERR_FILENO);
    close(lowest);
    answers = 0;
    received = -2;
    fiber_spawn("caller", open_caller, client);
    rest(5);
    assert_int_equal(read(peer, packet, sizeof packet), sizeof packet);
    packet[6] = 2 | 8; /* the answer, with a descriptor */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){(rlim_t)lowest, before.rlim_max};
    assert_true(ipc_socket_send(peer, packet, sizeof packet, STDERR_FILENO));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, is_full ? &low : &before), 0);
    rest(10);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(answers, 1);
}

static void receive_without_room(void *arg)
{
    (void)arg;
    int fds[2];
    ipc_socket_pair(fds);
    struct ipc_channel *client = ipc_open(&client_edge, fds[1], NULL);
    answer_with_descriptor(client, fds[0], false);
    assert_true(received >= 0);
    close(received);
    answer_with_descriptor(client, fds[0], true);
    assert_int_equal(received, -1);
    answer_with_descriptor(client, fds[0], false);
    assert_true(received >= 0);
    close(received);
    close(fds[0]);
    rest(5);
    fiber_loop_stop();
}

static void a_lost_descriptor_ends_no_channel(void **state)
{
    (void)state;
    fiber_spawn("full", receive_without_room, NULL);
    fiber_loop_run();
    assert_int_equal(fiber_count(), 0);
}

static int set_up(void **state)
{
    (void)state;
    fiber_loop_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_read_is_not_listened_to),
        cmocka_unit_test(who_asks_too_much_waits),
        cmocka_unit_test(calls_to_a_stopped_peer_do_not_pile_up),
        cmocka_unit_test(a_lost_descriptor_ends_no_channel),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
