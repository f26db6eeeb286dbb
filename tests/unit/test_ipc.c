/* SPDX-License-Identifier: ISC */
/* Channels: calls and answers, long records, descriptors, a peer that dies, violations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/ipc.h"

enum { ECHO = 1, SILENT = 2, OPEN = 3, LATER_STATE = 4, SAY = 5 };

static unsigned notices;

static void on_echo(struct ipc_channel *channel, struct ipc_message *message)
{
    ipc_reply(channel, message->id, message->body, -1);
}

static void on_silent(struct ipc_channel *channel, struct ipc_message *message)
{
    (void)channel;
    (void)message;
}

static void on_open(struct ipc_channel *channel, struct ipc_message *message)
{
    int fd = open("/dev/null", O_RDONLY);
    ipc_reply(channel, message->id, SLICE("fd"), fd);
    close(fd);
}

static void on_say(struct ipc_channel *channel, struct ipc_message *message)
{
    (void)channel;
    assert_int_equal(message->body.len, 1000);
    notices++;
}

static const struct ipc_rule rules[] = {
    {ECHO, "echo", IPC_REQUEST, false, IPC_ANY_STATE, 1 << 20, on_echo},
    {SILENT, "silent", IPC_REQUEST, false, IPC_ANY_STATE, 100, on_silent},
    {OPEN, "open", IPC_REQUEST, false, IPC_ANY_STATE, 0, on_open},
    {LATER_STATE, "later", IPC_REQUEST, false, 2, 100, on_echo},
    {SAY, "say", IPC_NOTICE, false, IPC_ANY_STATE, 1000, on_say},
};
static unsigned lost;
static void on_lost(struct ipc_channel *channel) { (void)channel; lost++; }
static const struct ipc_edge server_edge = {"test->server", IPC_FROM_CLIENT, rules, 5, on_lost};
static const struct ipc_edge client_edge = {"server->test", IPC_FROM_CLIENT, NULL, 0, on_lost};

static struct ipc_channel *server, *client;

static void connect_both(void)
{
    int fds[2];
    lost = notices = 0;
    ipc_socket_pair(fds);
    server = ipc_open(&server_edge, fds[0], NULL);
    client = ipc_open(&client_edge, fds[1], NULL);
}

static void disconnect_both(void)
{
    ipc_close(client);
    for (int i = 0; i < 20; i++)
        assert_int_equal(fiber_sleep_until(deadline_in_ms(1)), WAIT_OK);
    assert_int_equal(fiber_count(), 1);
}

static void call_and_compare(size_t len)
{
    struct str body = STR_EMPTY, reply;
    for (size_t i = 0; i < len; i++)
        str_append_char(&body, (char)(i * 7));
    assert_int_equal(ipc_call(client, ECHO, str_slice(&body), -1, &reply, NULL, deadline_in_s(5)), IPC_OK);
    assert_int_equal(reply.len, len);
    assert_memory_equal(str_text(&reply), str_text(&body), len);
    str_free(&reply);
    str_free(&body);
}

static void talk(void *arg)
{
    (void)arg;
    struct str reply;
    int fd = -1;
    char wide[1000] = {0};
    connect_both();
    static const size_t lengths[] = {0, 1, 65523, 65524, 65525, 200000, 1 << 20};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        call_and_compare(lengths[i]);
    assert_int_equal(ipc_call(client, SILENT, SLICE("x"), -1, &reply, NULL, deadline_in_ms(20)), IPC_TIMEOUT);
    assert_int_equal(ipc_call(client, OPEN, SLICE(""), -1, &reply, &fd, deadline_in_s(5)), IPC_OK);
    assert_true(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
    str_free(&reply);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(ipc_wait_room(client, deadline_in_s(5)), IPC_OK);
        ipc_notify(client, SAY, slice_range(wide, sizeof wide), -1);
    }
    call_and_compare(3); /* everything sent before it has been handled */
    assert_int_equal(notices, 20000);
    disconnect_both();
    assert_int_equal(lost, 1);
    fiber_loop_stop();
}

static void records_of_all_sizes_arrive(void **state)
{
    (void)state;
    fiber_spawn("talk", talk, NULL);
    fiber_loop_run();
}

/* And for the fibers of the lost channels, until only this one is left; however busy the machine is. */
static void wait_for_losses(unsigned count)
{
    for (int tries = 0; tries < 2000 && (lost < count || fiber_count() > 1); tries++)
        assert_int_equal(fiber_sleep_until(deadline_in_ms(5)), WAIT_OK);
    assert_int_equal(lost, count);
}

static void expect_violation(uint16_t type, struct slice body, int fd, const char *what)
{
    struct str reply;
    connect_both();
    enum ipc_status status = ipc_call(client, type, body, fd, &reply, NULL, deadline_in_s(5));
    if (status != IPC_LOST)
        fail_msg("%s: the connection was not ended", what);
    str_free(&reply);
    wait_for_losses(2);
}

static void violate(void *arg)
{
    (void)arg;
    char wide[101] = {0};
    expect_violation(99, SLICE(""), -1, "unknown type");
    expect_violation(SAY, SLICE(""), -1, "a notice sent as a request");
    expect_violation(SILENT, slice_range(wide, 101), -1, "too long");
    expect_violation(LATER_STATE, SLICE(""), -1, "not allowed in this state");
    expect_violation(ECHO, SLICE(""), STDERR_FILENO, "an unexpected descriptor");
    fiber_loop_stop();
}

static void violations_end_the_connection(void **state)
{
    (void)state;
    fiber_spawn("violate", violate, NULL);
    fiber_loop_run();
    assert_int_equal(fiber_count(), 0);
}

static void raw_peer(void *arg)
{
    (void)arg;
    static const struct { const char *bytes; size_t len; } packets[] = {
        {"\1\0\0", 3}, {"\377\377\377\377\1\0\0\0\0\0\0\0", 12}, {"\0\0\0\0\1\0\377\377\0\0\0\0", 12}};
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        int fds[2];
        ipc_socket_pair(fds);
        lost = 0;
        server = ipc_open(&server_edge, fds[0], NULL);
        assert_int_equal(write(fds[1], packets[i].bytes, packets[i].len), packets[i].len);
        wait_for_losses(1);
        close(fds[1]);
    }
    fiber_loop_stop();
}

/* What a stranger can attach: two descriptors where the buffer has room for one, one without a byte. */
static void send_descriptors(int socket, unsigned count, size_t len)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    static const char echo[12] = {0, 0, 0, 0, ECHO, 0, 9, 0, 1, 0, 0, 0};
    int sent[2] = {STDERR_FILENO, STDERR_FILENO};
    struct iovec piece = {(void *)(uintptr_t)echo, len};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.space,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(part), sent, count * sizeof(int));
    assert_int_equal(sendmsg(socket, &message, 0), (ssize_t)len);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void smuggler(void *arg)
{
    (void)arg;
    static const struct { unsigned count; size_t len; } packets[] = {{2, 12}, {2, 0}, {1, 0}};
    int before = lowest_free_descriptor();
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        int fds[2];
        ipc_socket_pair(fds);
        lost = 0;
        server = ipc_open(&server_edge, fds[0], NULL);
        send_descriptors(fds[1], packets[i].count, packets[i].len);
        wait_for_losses(1);
        close(fds[1]);
        assert_int_equal(lowest_free_descriptor(), before);
    }
    fiber_loop_stop();
}

static void smuggled_descriptors_are_closed(void **state)
{
    (void)state;
    fiber_spawn("smuggler", smuggler, NULL);
    fiber_loop_run();
}

/* Fragments without end, of a request or of an answer that nobody waits for. */
static void hoarder(void *arg)
{
    (void)arg;
    static const char flags[] = {4 | 1, 4 | 2};
    static char packet[60000];
    for (size_t i = 0; i < sizeof flags; i++) {
        int fds[2];
        const char header[12] = {(char)0x54, (char)0xea, 0, 0, ECHO, 0, flags[i], 0, 1, 0, 0, 0}; /* 59988 bytes */
        memcpy(packet, header, sizeof header);
        ipc_socket_pair(fds);
        lost = 0;
        server = ipc_open(&server_edge, fds[0], NULL);
        unsigned sent = 0;
        while (!lost && sent < 100 && write(fds[1], packet, sizeof packet) > 0) {
            sent++;
            assert_int_equal(fiber_sleep_until(deadline_in_ms(1)), WAIT_OK);
        }
        assert_in_range(sent, 17, 20); /* the longest record here has 1 MB */
        close(fds[1]);
    }
    fiber_loop_stop();
}

static void fragments_have_an_end(void **state)
{
    (void)state;
    fiber_spawn("hoarder", hoarder, NULL);
    fiber_loop_run();
}

static void malformed_packets_end_the_connection(void **state)
{
    (void)state;
    fiber_spawn("raw", raw_peer, NULL);
    fiber_loop_run();
}

static void a_reader_must_consume_everything(void **state)
{
    (void)state;
    struct str body = STR_EMPTY;
    ipc_put_u32(&body, 7);
    ipc_put_text(&body, "text");
    ipc_put_bool(&body, true);
    struct arena *arena = arena_new();
    for (size_t cut = 0; cut < body.len; cut++) {
        struct ipc_reader reader = ipc_reader_of(slice_range(body.data, cut));
        ipc_get_u32(&reader);
        ipc_get_text(&reader, arena);
        ipc_get_bool(&reader);
        assert_false(ipc_reader_finish(&reader));
    }
    struct ipc_reader reader = ipc_reader_of(str_slice(&body));
    assert_int_equal(ipc_get_u32(&reader), 7);
    assert_string_equal(ipc_get_text(&reader, arena), "text");
    assert_false(ipc_reader_finish(&reader));
    assert_true(ipc_get_bool(&reader));
    assert_true(ipc_reader_finish(&reader));
    arena_free(arena);
    str_free(&body);
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
        cmocka_unit_test(records_of_all_sizes_arrive),
        cmocka_unit_test(violations_end_the_connection),
        cmocka_unit_test(malformed_packets_end_the_connection),
        cmocka_unit_test(smuggled_descriptors_are_closed),
        cmocka_unit_test(fragments_have_an_end),
        cmocka_unit_test(a_reader_must_consume_everything),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
