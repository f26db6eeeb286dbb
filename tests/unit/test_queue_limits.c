/* SPDX-License-Identifier: ISC */
/* The queue's bounds: files that clients write, local clients, and what is said when there is none to have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"
#include "tests/unit/queue_peers.h"

static char directory[64];
static struct ipc_channel *channel;
static int failing_error;

static int fail_create(const struct spool_io_event *event)
{
    return event->call == SPOOL_IO_CREATE ? failing_error : 0;
}

/* The answer to SPOOL_OPEN is one byte, whatever it says: anything else is a violation to its reader. */
static void a_file_that_cannot_be_had_is_told(void)
{
    static const struct { int error; enum submit_status expect; } cases[] = {
        {ENOSPC, SUBMIT_NO_SPACE}, {EDQUOT, SUBMIT_NO_SPACE}, {EMFILE, SUBMIT_ERROR}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str reply, body = STR_EMPTY;
        int fd = -1;
        ipc_put_u32(&body, queue_peers_serial(channel));
        failing_error = cases[i].error;
        spool_io_set_hook(fail_create);
        assert_int_equal(ipc_call(channel, QUEUE_SPOOL_OPEN, str_slice(&body), -1, &reply, &fd, deadline_in_s(5)), IPC_OK);
        spool_io_set_hook(NULL);
        assert_int_equal(fd, -1);
        assert_int_equal(reply.len, 1);
        assert_int_equal(reply.data[0], cases[i].expect);
        str_free(&reply);
        str_free(&body);
    }
}

/* More files than the queue holds are refused, and the queue lives on. */
static void too_many_files_are_refused(void)
{
    static uint32_t serials[600];
    struct rlimit before, few;
    size_t opened = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 512;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (size_t i = 0; i < sizeof serials / sizeof serials[0]; i++) {
        struct str reply, body = STR_EMPTY;
        int fd = -1;
        serials[i] = queue_peers_serial(channel);
        ipc_put_u32(&body, serials[i]);
        assert_int_equal(ipc_call(channel, QUEUE_SPOOL_OPEN, str_slice(&body), -1, &reply, &fd, deadline_in_s(5)), IPC_OK);
        assert_int_equal(reply.data[0], fd >= 0 ? SUBMIT_OK : SUBMIT_ERROR);
        opened += fd >= 0;
        if (fd >= 0)
            close(fd);
        str_free(&reply);
        str_free(&body);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(opened, 300, 400);
    for (size_t i = 0; i < sizeof serials / sizeof serials[0]; i++) {
        struct str body = STR_EMPTY;
        ipc_put_u32(&body, serials[i]);
        ipc_notify(channel, QUEUE_ABANDON, str_slice(&body), -1);
        str_free(&body);
    }
}

/* Commands that hang take descriptors: not all of them. Those that end make room again. */
static void local_clients_are_bounded(void)
{
    static int ends[600];
    for (int round = 0; round < 2; round++) {
        size_t refused = 0;
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
            int fds[2];
            char byte;
            ipc_socket_pair(fds);
            control_serve(fds[0]);
            ends[i] = fds[1];
            refused += recv(ends[i], &byte, 1, 0) == 0;
        }
        assert_in_range(refused, 300, 500);
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
            close(ends[i]);
        assert_int_equal(fiber_sleep_until(deadline_in_ms(50)), WAIT_OK);
    }
}

/* --- running them -------------------------------------------------------------------------------------- */

static void run_all(void *arg)
{
    static const char *const parameters[] = {NULL};
    (void)arg;
    queue_peers_start(directory, parameters);
    channel = queue_peers_client();
    a_file_that_cannot_be_had_is_told();
    too_many_files_are_refused();
    local_clients_are_bounded();
    fiber_loop_stop();
}

static void bounds_hold(void **state)
{
    (void)state;
    fiber_spawn("test", run_all, NULL);
    fiber_loop_run();
}

static int clean_up(void **state)
{
    char *command = mem_printf("rm -rf %s", directory);
    (void)state;
    int result = system(command);
    free(command);
    return result;
}

int main(void)
{
    memcpy(directory, "/tmp/posthorn-queue.XXXXXX", 27);
    if (mkdtemp(directory) == NULL)
        log_fatal("mkdtemp: %s", strerror(errno));
    log_open(&(struct log_options){.sink = LOG_TO_FILE, .fd = open("/dev/null", O_WRONLY), .syslog_name = "postfix",
                                   .component = "queue", .host_name = "mx"});
    fiber_loop_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(bounds_hold)};
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
