/* SPDX-License-Identifier: ISC */
/* What a role receives at start, what its sandbox lets through, the directories it finds, and where it logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/ipc_codec.h"
#include "common/process/layout.h"
#include "common/process/lockfile.h"
#include "common/process/log_sink.h"
#include "common/process/role_internal.h"

/* --- records ------------------------------------------------------------------------------------ */

static struct str example_record(void)
{
    char *listeners[] = {(char *)"inet:127.0.0.1:25", (char *)"inet:[::1]:25"};
    struct start_record record = {
        .role = ROLE_SMTPD, .service = (char *)"smtp", .log_sink = LOG_TO_FILE, .has_log = true, .drop_ids = true,
        .uid = 101, .gid = 102, .empty_root = (char *)"/var/lib/postfix/empty", .listeners = listeners, .listener_count = 2,
    };
    struct str bytes = STR_EMPTY;
    start_record_encode(&record, &bytes);
    return bytes;
}

static void test_start_record_round_trip(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct start_record record;
    struct str bytes = example_record();
    assert_true(start_record_decode(str_slice(&bytes), arena, &record));
    assert_int_equal(record.role, ROLE_SMTPD);
    assert_string_equal(record.service, "smtp");
    assert_true(record.has_log && record.drop_ids && !record.verbose);
    assert_int_equal(record.uid, 101);
    assert_int_equal(record.gid, 102);
    assert_string_equal(record.empty_root, "/var/lib/postfix/empty");
    assert_int_equal(record.listener_count, 2);
    assert_string_equal(record.listeners[1], "inet:[::1]:25");
    str_free(&bytes);
    arena_free(arena);
}

static void test_start_record_refuses_anything_else(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct start_record record;
    struct str bytes = example_record();
    for (size_t len = 0; len < bytes.len; len++) /* cut off anywhere */
        assert_false(start_record_decode(slice_range(bytes.data, len), arena, &record));
    str_append_char(&bytes, 'x'); /* and with something behind it */
    assert_false(start_record_decode(str_slice(&bytes), arena, &record));
    str_truncate(&bytes, bytes.len - 1);
    bytes.data[4] = ROLE_COUNT; /* an unknown role */
    assert_false(start_record_decode(str_slice(&bytes), arena, &record));
    str_free(&bytes);
    arena_free(arena);
}

static void test_peer_record(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct peer_record out, in = {ROLE_LMTP, (char *)"dovecot", true};
    struct str bytes = STR_EMPTY;
    peer_record_encode(&in, &bytes);
    assert_true(peer_record_decode(str_slice(&bytes), arena, &out));
    assert_int_equal(out.role, ROLE_LMTP);
    assert_string_equal(out.service, "dovecot");
    assert_true(out.is_client);
    for (size_t len = 0; len < bytes.len; len++)
        assert_false(peer_record_decode(slice_range(bytes.data, len), arena, &out));
    bytes.data[bytes.len - 1] = 2; /* not a truth value */
    assert_false(peer_record_decode(str_slice(&bytes), arena, &out));
    str_free(&bytes);
    arena_free(arena);
}

/* --- sandbox ------------------------------------------------------------------------------------- */

/* In a child: confines itself with these rights and writes the probe's results to a pipe. */
static void confine_and_probe(unsigned rights, const char *allowed, int fd)
{
    const char *directories[] = {allowed, NULL};
    struct sandbox sandbox = {"test", rights, directories};
    struct arena *arena = arena_new();
    struct probe_result results[PROBE_COUNT];
    struct str bytes = STR_EMPTY;
    sandbox_limit(&sandbox, 64);
    sandbox_drop_capabilities(&sandbox);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(2);
    sandbox_landlock(&sandbox);
    sandbox_seccomp(&sandbox);
    size_t count = sandbox_probe(arena, allowed, results);
    probe_results_encode(results, count, &bytes);
    _exit(write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len ? 0 : 3);
}

static size_t probe_in_child(unsigned rights, const char *allowed, struct arena *arena, struct probe_result **results)
{
    int fds[2], status;
    static char bytes[8192];
    size_t count = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        confine_and_probe(rights, allowed, fds[1]);
    close(fds[1]);
    ssize_t len = read(fds[0], bytes, sizeof bytes);
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(probe_results_decode(slice_range(bytes, (size_t)len), arena, results, &count));
    return count;
}

static void test_sandbox_lets_through_what_the_rights_say(void **state UNUSED)
{
    /* Rights that let a try succeed; all others must fail, and nothing lets the last ones succeed. */
    static const struct {
        const char *what;
        unsigned rights;
    } tries[] = {
        {"read /etc/passwd", 0},        {"read /etc/shadow", 0},
        {"create in the queue directory", RIGHT_WRITE_FILES},
        {"create in /tmp", 0},          {"connect to 127.0.0.1", RIGHT_CONNECT_INET},
        {"listen on a port", 0},        {"run a program", 0},
        {"fork", 0},                    {"trace a process", 0},
        {"signal another process", 0},  {"become root", 0},
        {"make writable memory executable", 0},
    };
    static const unsigned roles[] = {
        0,
        RIGHT_ACCEPT,
        RIGHT_ACCEPT | RIGHT_WRITE_FILES | RIGHT_THREADS | RIGHT_PASS_FD,
        RIGHT_READ_FILES | RIGHT_CONNECT_UNIX | RIGHT_CONNECT_INET | RIGHT_THREADS,
        RIGHT_READ_FILES | RIGHT_WRITE_FILES,
    };
    char directory[] = "/tmp/test_role.XXXXXX", *incoming;
    assert_non_null(mkdtemp(directory));
    incoming = mem_printf("%s/incoming", directory);
    assert_int_equal(mkdir(incoming, 0700), 0);
    for (size_t r = 0; r < sizeof roles / sizeof roles[0]; r++) {
        struct arena *arena = arena_new();
        struct probe_result *results;
        size_t count = probe_in_child(roles[r], directory, arena, &results), checked = 0;
        for (size_t i = 0; i < count; i++)
            for (size_t t = 0; t < sizeof tries / sizeof tries[0]; t++) {
                if (strcmp(tries[t].what, results[i].what) != 0)
                    continue;
                checked++;
                bool expected = (roles[r] & tries[t].rights) != 0;
                bool worked = results[i].error == 0 || results[i].error == ECONNREFUSED || results[i].error == ENETUNREACH;
                if (worked != expected)
                    fail_msg("rights %#x: %s: %s", roles[r], results[i].what, strerror((int)results[i].error));
            }
        assert_int_equal(checked, sizeof tries / sizeof tries[0]);
        arena_free(arena);
    }
    assert_int_equal(rmdir(incoming), 0);
    assert_int_equal(rmdir(directory), 0);
    free(incoming);
}

/* --- layout ---------------------------------------------------------------------------------------- */

static struct config *config_below(const char *top)
{
    struct config *config = config_new_default();
    char *queue = mem_printf("%s/queue", top), *data = mem_printf("%s/a/b/data", top);
    config_set(config, "queue_directory", queue);
    config_set(config, "data_directory", data);
    free(queue);
    free(data);
    return config;
}

static mode_t mode_of(const char *top, const char *name)
{
    struct stat info;
    char *path = mem_printf("%s/%s", top, name);
    assert_int_equal(lstat(path, &info), 0);
    free(path);
    return info.st_mode & 07777;
}

static void remove_tree(const char *top)
{
    char *command = mem_printf("rm -rf %s", top);
    assert_int_equal(system(command), 0);
    free(command);
}

static void test_layout_makes_and_repairs(void **state UNUSED)
{
    char top[] = "/tmp/test_role.XXXXXX";
    assert_non_null(mkdtemp(top));
    struct config_problems problems = {NULL, 0};
    struct mail_ids ids = {false, geteuid(), getegid(), getegid()};
    struct config *config = config_below(top);
    assert_true(layout_prepare(config, &ids, false, &problems));
    assert_int_equal(problems.count, 0);
    assert_int_equal(mode_of(top, "queue"), 0755);
    assert_int_equal(mode_of(top, "queue/deferred"), 0700);
    assert_int_equal(mode_of(top, "queue/maildrop"), 0730);
    assert_int_equal(mode_of(top, "queue/public"), 0710);
    assert_int_equal(mode_of(top, "a/b/data"), 0700);
    assert_int_equal(mode_of(top, "a/b/data/empty"), 0755);
    char *path = mem_printf("%s/queue/deferred", top);
    assert_int_equal(chmod(path, 0777), 0);
    assert_true(layout_prepare(config, &ids, false, &problems)); /* tells, and changes nothing */
    assert_int_equal(problems.count, 1);
    assert_false(problems.list[0].fatal);
    assert_int_equal(mode_of(top, "queue/deferred"), 0777);
    assert_true(layout_prepare(config, &ids, true, &problems));
    assert_int_equal(mode_of(top, "queue/deferred"), 0700);
    /* A directory that somebody replaced by a symlink is refused, not followed. */
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_false(layout_prepare(config, &ids, true, &problems));
    free(path);
    config_free(config);
    config_problems_free(&problems);
    remove_tree(top);
}

static void test_missing_user_is_named(void **state UNUSED)
{
    struct config_problems problems = {NULL, 0};
    struct mail_ids ids;
    struct config *config = config_new_default();
    config_set(config, "mail_owner", "no-such-user");
    bool works = mail_ids_load(config, &ids, &problems);
    assert_int_equal(works, geteuid() != 0);
    if (geteuid() == 0) {
        assert_int_equal(problems.count, 1);
        assert_non_null(strstr(problems.list[0].text, "mail_owner: unknown user name value: no-such-user"));
        config_set(config, "mail_owner", "root");
        assert_false(mail_ids_load(config, &ids, &problems));
    }
    config_free(config);
    config_problems_free(&problems);
}

static void test_lockfile_is_held_by_one(void **state UNUSED)
{
    char top[] = "/tmp/test_role.XXXXXX";
    int fds[2];
    assert_non_null(mkdtemp(top));
    struct config_problems problems = {NULL, 0};
    struct mail_ids ids = {false, geteuid(), getegid(), getegid()};
    struct config *config = config_below(top);
    assert_true(layout_prepare(config, &ids, false, &problems));
    assert_false(lockfile_is_held(config));
    assert_int_equal(lockfile_holder(config), 0);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        lockfile_take(config, &ids);
        close(fds[1]);
        pause();
    }
    close(fds[1]);
    char byte;
    assert_int_equal(read(fds[0], &byte, 1), 0); /* the child has it */
    close(fds[0]);
    assert_true(lockfile_is_held(config));
    assert_int_equal(lockfile_holder(config), child);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(lockfile_is_held(config));
    config_free(config);
    remove_tree(top);
}

/* --- log --------------------------------------------------------------------------------------------- */

static void test_maillog_file_must_match_a_prefix(void **state UNUSED)
{
    static const struct {
        const char *file, *prefixes;
        bool allowed;
    } cases[] = {
        {"/tmp/test_role.log", "/var, /tmp", true},
        {"/tmp/test_role.log", "/var", false},
        {"/etc/passwd", "/var, /tmp", false},
        {"/dev/stdout", "/var, /dev/stdout", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = config_new_default();
        char *problem = NULL;
        config_set(config, "maillog_file", cases[i].file);
        config_set(config, "maillog_file_prefixes", cases[i].prefixes);
        assert_int_equal(log_sink_kind(config), LOG_TO_FILE);
        int fd = log_sink_open(config, &problem);
        assert_int_equal(fd >= 0, cases[i].allowed);
        assert_int_equal(problem != NULL, !cases[i].allowed);
        if (fd >= 0)
            close(fd);
        free(problem);
        config_free(config);
    }
    unlink("/tmp/test_role.log");
}

static void test_facilities(void **state UNUSED)
{
    struct config *config = config_new_default();
    assert_int_equal(log_sink_facility(config), LOG_MAIL);
    config_set(config, "syslog_facility", "local3");
    assert_int_equal(log_sink_facility(config), LOG_LOCAL3);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_record_round_trip),
        cmocka_unit_test(test_start_record_refuses_anything_else),
        cmocka_unit_test(test_peer_record),
        cmocka_unit_test(test_sandbox_lets_through_what_the_rights_say),
        cmocka_unit_test(test_layout_makes_and_repairs),
        cmocka_unit_test(test_missing_user_is_named),
        cmocka_unit_test(test_lockfile_is_held_by_one),
        cmocka_unit_test(test_maillog_file_must_match_a_prefix),
        cmocka_unit_test(test_facilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
