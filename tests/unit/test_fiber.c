/* SPDX-License-Identifier: ISC */
/* Fibers: scheduling, deadlines, cancellation, conditions, ten thousand at once, overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/fiber.h"
#include "common/base/fiber_stack.h"
#include "common/base/stack_watch.h"
#include "common/base/stream.h"

static char trace[256];

static char name_a[] = "a", name_b[] = "b", name_1[] = "1", name_2[] = "2", name_3[] = "3";

static void note(const char *text)
{
    size_t len = strlen(trace);
    snprintf(trace + len, sizeof trace - len, "%s ", text);
}

static void run_loop(void (*first)(void *), void *arg)
{
    trace[0] = '\0';
    fiber_spawn("first", first, arg);
    fiber_loop_run();
}

static void yielding(void *arg)
{
    for (int i = 0; i < 2; i++) {
        note(arg);
        assert_int_equal(fiber_yield(), WAIT_OK);
    }
}

static void start_two(void *arg)
{
    (void)arg;
    fiber_spawn("a", yielding, name_a);
    fiber_spawn("b", yielding, name_b);
    assert_int_equal(fiber_sleep_until(deadline_in_ms(300)), WAIT_OK); /* enough for valgrind, too */
    note("end");
    fiber_loop_stop();
}

static void fibers_take_turns(void **state)
{
    (void)state;
    run_loop(start_two, NULL);
    assert_string_equal(trace, "a b a b end ");
}

static void wait_on_silent_pipe(void *arg)
{
    struct fiber_fd *handle = arg;
    int64_t before = clock_ms();
    assert_int_equal(fiber_wait_fd(handle, FIBER_READ, deadline_in_ms(30)), WAIT_TIMEOUT);
    assert_true(clock_ms() - before >= 30);
    assert_int_equal(fiber_wait_fd(handle, FIBER_READ, deadline_in_ms(20)), WAIT_TIMEOUT);
    fiber_loop_stop();
}

static void a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    int fds[2];
    struct fiber_fd handle;
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    fiber_fd_init(&handle, fds[0]);
    run_loop(wait_on_silent_pipe, &handle);
    fiber_fd_close(&handle);
    close(fds[1]);
}

static void sleeper(void *arg)
{
    (void)arg;
    assert_int_equal(fiber_sleep_until(CLOCK_NEVER), WAIT_CANCELLED);
    assert_int_equal(fiber_sleep_until(CLOCK_NEVER), WAIT_CANCELLED);
    note("cancelled");
}

static void canceller(void *arg)
{
    (void)arg;
    struct fiber *fiber = fiber_spawn("sleeper", sleeper, NULL);
    assert_int_equal(fiber_yield(), WAIT_OK);
    fiber_cancel(fiber);
    assert_int_equal(fiber_yield(), WAIT_OK);
    assert_int_equal(fiber_yield(), WAIT_OK);
    assert_int_equal(fiber_count(), 1);
    fiber_loop_stop();
}

static void a_cancelled_fiber_cannot_wait(void **state)
{
    (void)state;
    run_loop(canceller, NULL);
    assert_string_equal(trace, "cancelled ");
}

static struct fiber_cond cond;

static void cond_waiter(void *arg)
{
    enum wait_status status = fiber_cond_wait(&cond, deadline_in_ms(200));
    note(status == WAIT_OK ? arg : "timeout");
}

static void cond_user(void *arg)
{
    (void)arg;
    fiber_spawn("1", cond_waiter, name_1);
    struct fiber *second = fiber_spawn("2", cond_waiter, name_2);
    fiber_spawn("3", cond_waiter, name_3);
    assert_int_equal(fiber_yield(), WAIT_OK);
    fiber_cancel(second); /* leaves the middle of the queue */
    fiber_cond_signal(&cond);
    assert_int_equal(fiber_sleep_until(deadline_in_ms(5)), WAIT_OK);
    assert_string_equal(trace, "timeout 1 ");
    fiber_cond_broadcast(&cond);
    assert_int_equal(fiber_sleep_until(deadline_in_ms(5)), WAIT_OK);
    fiber_loop_stop();
}

static void conditions_wake_in_order(void **state)
{
    (void)state;
    run_loop(cond_user, NULL);
    assert_string_equal(trace, "timeout 1 3 ");
    assert_null(cond.first);
}

/* --- ten thousand -------------------------------------------------------------------- */

#define MANY 10000
static size_t arrived, ended;
static struct fiber_cond go;

static void one_of_many(void *arg)
{
    volatile char stack[512];
    memset((char *)stack, 1, sizeof stack);
    if (++arrived == MANY)
        fiber_cond_broadcast(arg);
    assert_int_equal(fiber_cond_wait(&go, CLOCK_NEVER), WAIT_OK);
    ended++;
}

static void spawn_many(void *arg)
{
    (void)arg;
    struct fiber_cond all_here = {0};
    arrived = ended = 0;
    for (int i = 0; i < MANY; i++)
        fiber_spawn("many", one_of_many, &all_here);
    assert_int_equal(fiber_cond_wait(&all_here, deadline_in_s(60)), WAIT_OK);
    assert_int_equal(fiber_count(), MANY + 1);
    fiber_cond_broadcast(&go);
    while (fiber_count() > 1)
        assert_int_equal(fiber_yield(), WAIT_OK);
    fiber_loop_stop();
}

static void ten_thousand_fibers_live_together(void **state)
{
    (void)state;
    run_loop(spawn_many, NULL);
    assert_int_equal(ended, MANY);
}

/* --- overflow --------------------------------------------------------------------------- */

static int __attribute__((noinline)) dive(volatile char *above, int depth)
{
    volatile char frame[1024];
    frame[0] = above[0];
    return depth == 0 ? 0 : dive(frame, depth - 1) + frame[0];
}

static void diver(void *arg)
{
    char top[1] = {0};
    (void)arg;
    dive(top, 1000000);
}

static void overflow_aborts_and_names_the_fiber(void **state)
{
    (void)state;
    int fds[2];
    char said[256] = "";
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        signal(SIGABRT, SIG_DFL);
        fiber_stack_install_overflow_handler(); /* cmocka put its own in front */
        fiber_spawn("the-diver", diver, NULL);
        fiber_loop_run();
        _exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    ssize_t n;
    while (len < sizeof said - 1 && (n = read(fds[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)n;
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_non_null(strstr(said, "stack overflow in fiber the-diver"));
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

/* --- streams ------------------------------------------------------------------------------- */

static const char *const spoken[] = {"EHLO a\r\nMAIL FR", "OM:<>\r", "\nbare\n", "last\r\n"};

static void talker(void *arg)
{
    int fd = *(int *)arg;
    for (size_t i = 0; i < sizeof spoken / sizeof spoken[0]; i++) {
        assert_int_equal(write(fd, spoken[i], strlen(spoken[i])), strlen(spoken[i]));
        assert_int_equal(fiber_sleep_until(deadline_in_ms(2)), WAIT_OK);
    }
    close(fd);
}

static void listener(void *arg)
{
    static const struct { const char *text; bool bare; } expected[] = {
        {"EHLO a", false}, {"MAIL FROM:<>", false}, {"bare", true}, {"last", false}};
    int *fds = arg;
    struct stream stream;
    stream_init(&stream, fds[0]);
    fiber_spawn("talker", talker, &fds[1]);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct slice line;
        bool bare;
        assert_int_equal(stream_read_line(&stream, 100, &line, &bare, deadline_in_s(5)), IO_OK);
        assert_int_equal(line.len, strlen(expected[i].text));
        assert_memory_equal(line.data, expected[i].text, line.len);
        assert_int_equal(bare, expected[i].bare);
    }
    struct slice line;
    assert_int_equal(stream_read_line(&stream, 100, &line, NULL, deadline_in_s(5)), IO_EOF);
    stream_close(&stream);
    fiber_loop_stop();
}

static void go_deep(void *arg)
{
    (void)arg;
    volatile char room[50000];
    for (size_t i = 0; i < sizeof room; i++)
        room[i] = 1;
    fiber_loop_stop();
}

static void the_use_of_a_stack_is_measured(void **state)
{
    (void)state;
    fiber_spawn("deep", go_deep, NULL);
    fiber_loop_run();
    size_t deepest = stack_watch_deepest("deep");
    if (!fiber_stack_is_watched()) /* under a sanitizer or valgrind */
        skip();
    assert_in_range(deepest, 50000, 54000);
    assert_true(stack_watch_deepest("a") < 20000);
    assert_int_equal(stack_watch_deepest("nobody"), 0);
}

static void a_stream_reads_lines_however_they_arrive(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    run_loop(listener, fds);
}

static void a_stream_bounds_its_lines(void **state)
{
    (void)state;
    int fds[2];
    struct stream stream;
    struct slice line;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    stream_init(&stream, fds[0]);
    assert_int_equal(write(fds[1], "0123456789\r\nok\r\n", 16), 16);
    /* Outside a fiber the same code blocks. */
    assert_int_equal(stream_read_line(&stream, 9, &line, NULL, deadline_in_s(5)), IO_TOO_LONG);
    assert_int_equal(stream_read_line(&stream, 10, &line, NULL, deadline_in_s(5)), IO_OK);
    assert_int_equal(stream_read_line(&stream, 10, &line, NULL, deadline_in_s(5)), IO_OK);
    assert_int_equal(line.len, 2);
    assert_int_equal(stream_read_line(&stream, 10, &line, NULL, deadline_in_ms(10)), IO_TIMEOUT);
    stream_close(&stream);
    close(fds[1]);
}

static int set_up(void **state)
{
    (void)state;
    if (setenv(STACK_WATCH_VARIABLE, "1", 1) != 0)
        return -1;
    fiber_loop_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fibers_take_turns),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(a_cancelled_fiber_cannot_wait),
        cmocka_unit_test(conditions_wake_in_order),
        cmocka_unit_test(ten_thousand_fibers_live_together),
        cmocka_unit_test(overflow_aborts_and_names_the_fiber),
        cmocka_unit_test(the_use_of_a_stack_is_measured),
        cmocka_unit_test(a_stream_reads_lines_however_they_arrive),
        cmocka_unit_test(a_stream_bounds_its_lines),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
