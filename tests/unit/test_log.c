/* SPDX-License-Identifier: ISC */
/* The log: Postfix's line format, and that a sink which takes nothing never stops the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

static void open_log(enum log_sink sink, int fd)
{
    struct log_options options = {.sink = sink, .fd = fd, .syslog_name = "postfix", .component = "smtpd",
                                  .host_name = "mail", .facility = LOG_MAIL};
    log_open(&options);
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t compiled;
    assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int result = regexec(&compiled, text, 0, NULL, 0);
    regfree(&compiled);
    if (result != 0)
        fail_msg("\"%s\" does not match %s", text, pattern);
}

static char *read_file(const char *path)
{
    static char text[65536];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void lines_look_like_postfix(void **state)
{
    (void)state;
    char path[] = "/tmp/posthorn-test-log.XXXXXX";
    int fd = mkstemp(path);
    open_log(LOG_TO_FILE, fd);
    log_info("connect from %s", "a\nb[127.0.0.1]");
    log_warning("it is %d", 7);
    log_info_as("cleanup", "4F2A: message-id=<x@y>");
    log_debug("not shown");
    log_flush();
    assert_matches(read_file(path),
                   "^[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} mail postfix/smtpd\\[[0-9]+\\]: "
                   "connect from a\\?b\\[127.0.0.1\\]\n"
                   "[^\n]* postfix/smtpd\\[[0-9]+\\]: warning: it is 7\n"
                   "[^\n]* postfix/cleanup\\[[0-9]+\\]: 4F2A: message-id=<x@y>\n$");
    unlink(path);
}

static void a_long_line_is_cut(void **state)
{
    (void)state;
    char path[] = "/tmp/posthorn-test-log.XXXXXX";
    open_log(LOG_TO_FILE, mkstemp(path));
    char *wide = calloc(1, 100001);
    memset(wide, 'x', 100000);
    log_info("%s", wide);
    log_flush();
    assert_true(strlen(read_file(path)) < 5000);
    free(wide);
    unlink(path);
}

static void a_full_pipe_stops_nothing_and_is_accounted_for(void **state)
{
    (void)state;
    int fds[2];
    char text[4097];
    assert_int_equal(pipe(fds), 0); /* blocking on purpose, as an inherited stdout is */
    open_log(LOG_TO_FILE, fds[1]);
    int64_t before = clock_ms();
    for (int i = 0; i < 40000; i++)
        log_info("line %d of many that nobody reads", i);
    log_flush();
    assert_true(clock_ms() - before < 20000);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    bool told = false;
    for (int i = 0; i < 10000 && !told; i++) {
        ssize_t n = read(fds[0], text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        told = strstr(text, " log messages were lost") != NULL;
        if (n <= 0)
            log_info("next");
        log_flush();
    }
    assert_true(told);
    close(fds[0]);
}

static unsigned asked;
static void ask(void) { asked++; }

static void a_dead_syslogd_is_replaced(void **state)
{
    (void)state;
    int first[2], second[2];
    char text[256];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, first), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, second), 0);
    open_log(LOG_TO_SYSLOG, first[0]);
    log_on_lost(ask);
    log_info("one");
    log_flush();
    ssize_t n = recv(first[1], text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    assert_matches(text, "^<22>[A-Z][a-z]{2} .* postfix/smtpd\\[[0-9]+\\]: one$");
    close(first[1]);
    log_info("two");
    log_flush();
    log_flush();
    assert_int_equal(asked, 1);
    log_replace_fd(second[0]);
    n = recv(second[1], text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    assert_matches(text, ": two$");
    close(second[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_look_like_postfix),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(a_full_pipe_stops_nothing_and_is_accounted_for),
        cmocka_unit_test(a_dead_syslogd_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
