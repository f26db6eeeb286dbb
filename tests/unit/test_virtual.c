/* SPDX-License-Identifier: ISC */
/* The virtual role: paths and ids from tables, Maildir and mailbox files on a real file system, and what fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/lookup_protocol.h"
#include "virtual/role.h"
#include "virtual/virtual.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(literal) ((char *)(literal)) /* for fields that nobody writes to */

/* --- what the role needs of its surroundings ------------------------------------------- */

static char base[] = "/tmp/posthorn-virtual-XXXXXX";
static char own_uid[16], own_gid[16];
static struct config *config;
static struct ipc_channel *queue;

/* The mailbox table: user part to value. */
static const char *mailbox_of(const char *key)
{
    static const struct {
        const char *key, *value;
    } table[] = {
        {"maildir@x", "x/maildir/"}, {"other@x", "x/other/"}, {"mbox@x", "x/mbox"}, {"up@x", "x/../../up/"},
        {"empty@x", ""}, {"fifo@x", "x/fifo"}, {"link@x", "x/link"}, {"file@x", "x/mbox/sub/"},
        {"locked@x", "x/locked"}, {"closed@x", "x/closed/sub/"}, {"full@x", "x/full"},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        if (strcmp(table[i].key, key) == 0)
            return table[i].value;
    return NULL;
}

enum ipc_status role_call(enum role_id peer, const char *service, uint16_t type, struct slice body,
                          struct str *reply, int *reply_fd, int64_t deadline)
{
    struct table_question question;
    struct table_answer answer = {.status = TABLE_NOT_FOUND, .value = TEXT(""), .table = TEXT("")};
    struct arena *arena = arena_new();
    (void)service, (void)reply_fd, (void)deadline;
    assert_int_equal(peer, ROLE_LOOKUP);
    assert_int_equal(type, LOOKUP_FIND);
    assert_true(table_question_decode(body, arena, &question));
    assert_int_equal(question.kind, KEY_ADDRESS);
    const char *value = NULL;
    if (strcmp(question.parameter, "virtual_mailbox_maps") == 0)
        value = mailbox_of(question.key);
    else if (strcmp(question.parameter, "virtual_uid_maps") == 0)
        value = own_uid;
    if (value != NULL) {
        answer.status = TABLE_FOUND;
        answer.value = TEXT(value);
    }
    if (strcmp(question.key, "broken@x") == 0)
        answer.status = TABLE_ERROR;
    table_answer_encode(&answer, reply);
    bool lost = strcmp(question.key, "nobodyhome@x") == 0;
    if (lost)
        str_free(reply);
    arena_free(arena);
    return lost ? IPC_LOST : IPC_OK;
}

void role_finished(void)
{
}

const char *role_service(void)
{
    return "virtual";
}

/* --- pure parts -------------------------------------------------------------------------- */

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *value, *path;
    } cases[] = {
        {"x/a/", "/base/x/a/"}, {"a", "/base/a"},      {"/a", "/base//a"},   {"a..b/..c/d../", "/base/a..b/..c/d../"},
        {"", NULL},             {"..", NULL},          {"../a", NULL},       {"a/..", NULL},
        {"a/../b", NULL},       {"a//../b/", NULL},    {"/../etc/", NULL},   {"a/../", NULL},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *path = mailbox_path("/base", cases[i].value, arena);
        if (cases[i].path == NULL)
            assert_null(path);
        else
            assert_string_equal(path, cases[i].path);
    }
    arena_free(arena);
}

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t least;
        bool ok;
        uint32_t id;
    } cases[] = {
        {"5000", 100, true, 5000}, {"100", 100, true, 100}, {"99", 100, false, 0}, {"0", 1, false, 0},
        {"-1", 1, false, 0}, {"4294967295", 1, false, 0}, {"4294967296", 1, false, 0}, {"", 0, false, 0},
        {"5000x", 100, false, 0}, {" 5000", 100, false, 0}, {"0x10", 1, false, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t id = 0;
        assert_int_equal(mailbox_parse_id(cases[i].text, cases[i].least, &id), cases[i].ok);
        assert_int_equal(id, cases[i].id);
    }
}

static void test_dsn(void **state)
{
    (void)state;
    assert_string_equal(mailbox_dsn(ENOSPC, "4.2.0"), "4.3.0");
    assert_string_equal(mailbox_dsn(EDQUOT, "4.2.0"), "5.2.2");
    assert_string_equal(mailbox_dsn(EFBIG, "4.2.0"), "5.2.2");
    assert_string_equal(mailbox_dsn(EAGAIN, "5.3.0"), "4.2.0");
    assert_string_equal(mailbox_dsn(EACCES, "4.2.0"), "4.2.0");
}

/* In a child: as root, acting as the owner means having the owner's rights and no others. */
static int act_as_owner(void)
{
    char secret[] = "/tmp/posthorn-secret-XXXXXX";
    int fd = mkstemp(secret); /* mode 0600, ours */
    if (fd < 0)
        return 1;
    owner_start();
    int failed = !owner_is_possible(65534, 65534) || !owner_is_possible(5000, 5000);
    owner_become(65534, 65534);
    failed |= geteuid() != 65534 || getegid() != 65534 || getgroups(0, NULL) != 1;
    failed |= open(secret, O_RDONLY) >= 0 || errno != EACCES;
    owner_return();
    failed |= geteuid() != 0 || getegid() != 0 || open(secret, O_RDONLY) < 0;
    owner_become(5000, 5001);
    failed |= geteuid() != 5000 || getegid() != 5001;
    owner_return();
    unlink(secret);
    return failed;
}

static void test_owner(void **state)
{
    (void)state;
    int status;
    if (geteuid() != 0)
        skip();
    pid_t child = fork();
    if (child == 0)
        _exit(act_as_owner());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_owner_unprivileged(void **state)
{
    (void)state;
    assert_true(owner_is_possible(geteuid(), getegid()));
    assert_false(owner_is_possible(geteuid() + 1, getegid()));
    assert_false(owner_is_possible(geteuid(), getegid() + 1));
}

/* --- deliveries ---------------------------------------------------------------------------------- */

static const struct ipc_edge queue_edge = {"queue->virtual", IPC_FROM_CLIENT, NULL, 0, NULL};

struct outcome {
    enum delivery_status status;
    char dsn[12];
    char reason[600];
};

static void deliver(const char *address, const char *original, const char *sender, struct slice content, int fd,
                    bool is_damaged, struct outcome *outcome)
{
    struct delivery_recipient to = {3, {TEXT(address), TEXT(original), TEXT(""), 0}};
    struct delivery delivery = {
        .transport = TEXT("virtual"), .next_hop = TEXT("x"), .active_us = wall_us(), .in_file = fd >= 0,
        .content_size = content.len, .content_hash = XXH3_64bits(content.data, content.len) ^ is_damaged,
        .recipients = &to, .recipient_count = 1};
    struct str question = STR_EMPTY, reply = STR_EMPTY;
    struct delivery_result result;
    struct arena *arena = arena_new();
    if (fd < 0)
        delivery.content = content;
    delivery.envelope = (struct envelope){.queue_id = "4F2A1", .arrival_us = wall_us(), .sender = TEXT(sender),
                                          .dsn_envelope_id = TEXT("")};
    delivery_encode(&delivery, &question);
    assert_int_equal(ipc_call(queue, fd >= 0 ? DELIVER_FD : DELIVER, str_slice(&question), fd, &reply, NULL,
                              deadline_in_s(30)), IPC_OK);
    assert_true(delivery_result_decode(str_slice(&reply), arena, &result));
    assert_int_equal(result.recipient_count, 1);
    assert_int_equal(result.recipients[0].index, 3);
    outcome->status = result.recipients[0].status;
    snprintf(outcome->dsn, sizeof outcome->dsn, "%s", result.recipients[0].dsn);
    snprintf(outcome->reason, sizeof outcome->reason, "%s", result.recipients[0].reason);
    str_free(&question);
    str_free(&reply);
    arena_free(arena);
}

static char *in_base(const char *path)
{
    static char full[4][512];
    static unsigned turn;
    char *out = full[turn++ % 4];
    snprintf(out, sizeof full[0], "%s/%s", base, path);
    return out;
}

static char *read_file(const char *path)
{
    static char text[600000];
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t len = read(fd, text, sizeof text - 1);
    assert_true(len >= 0);
    text[len] = '\0';
    close(fd);
    return text;
}

/* The files of a directory; *last names one of them. */
static unsigned count_files(const char *path, char *last, size_t size)
{
    unsigned count = 0;
    struct dirent *entry;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (last != NULL)
            snprintf(last, size, "%s/%s", path, entry->d_name);
        count++;
    }
    closedir(directory);
    return count;
}

static void check(const char *address, enum delivery_status status, const char *dsn, const char *reason)
{
    struct outcome outcome;
    deliver(address, address, "s@y", SLICE("Subject: x\n\nFrom me\nbody\n"), -1, false, &outcome);
    if (outcome.status != status || strcmp(outcome.dsn, dsn) != 0 || strcmp(outcome.reason, reason) != 0) {
        fprintf(stderr, "%s: %d %s %s\n", address, outcome.status, outcome.dsn, outcome.reason);
        fail();
    }
}

static void deliver_to_maildir(void)
{
    char path[1024];
    struct stat info;
    struct outcome outcome;
    check("maildir@x", DELIVERY_SENT, "2.0.0", "delivered to maildir");
    assert_int_equal(count_files(in_base("x/maildir/new"), path, sizeof path), 1);
    assert_string_equal(read_file(path), "Return-Path: <s@y>\nX-Original-To: maildir@x\nDelivered-To: maildir@x\n"
                                         "Subject: x\n\nFrom me\nbody\n");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(stat(in_base("x/maildir/cur"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(count_files(in_base("x/maildir/tmp"), NULL, 0), 0);
    /* no line end, null sender, other original */
    deliver("other@x", "Alias@x", "", SLICE("S: x\n\nend"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
    assert_int_equal(count_files(in_base("x/other/new"), path, sizeof path), 1);
    assert_string_equal(read_file(path),
                        "Return-Path: <>\nX-Original-To: Alias@x\nDelivered-To: other@x\nS: x\n\nend\n");
    assert_int_equal(unlink(path), 0);
    deliver("other@x", "", "s@y", SLICE(""), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
    assert_int_equal(count_files(in_base("x/other/new"), path, sizeof path), 1);
    assert_string_equal(read_file(path), "Return-Path: <s@y>\nDelivered-To: other@x\n");
}

static void deliver_large(void)
{
    char path[1024];
    struct outcome outcome;
    size_t len = 400000;
    char *data = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = i % 64 == 63 ? '\n' : 'a';
    memcpy(data + 65536 - 3, "\nFrom here\n", 11); /* across two chunks */
    char name[] = "/tmp/posthorn-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0 && unlink(name) == 0 && write(fd, data, len) == (ssize_t)len);
    unsigned before = count_files(in_base("x/maildir/new"), NULL, 0);
    deliver("maildir@x", "", "s@y", slice_range(data, len), fd, true, &outcome);
    assert_int_equal(outcome.status, DELIVERY_CORRUPT);
    assert_int_equal(count_files(in_base("x/maildir/new"), NULL, 0), before);
    assert_int_equal(count_files(in_base("x/maildir/tmp"), NULL, 0), 0);
    deliver("mbox@x", "", "s@y", slice_range(data, len), fd, true, &outcome);
    assert_int_equal(outcome.status, DELIVERY_CORRUPT);
    assert_int_equal(strlen(read_file(in_base("x/mbox"))), 0);
    deliver("other@x", "", "s@y", slice_range(data, len), fd, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
    deliver("mbox@x", "", "s@y", slice_range(data, len), fd, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
    assert_non_null(strstr(read_file(in_base("x/mbox")), "\n>From here\n"));
    assert_int_equal(truncate(in_base("x/mbox"), 0), 0);
    assert_int_equal(count_files(in_base("x/other/new"), path, sizeof path), 2);
    close(fd);
    free(data);
}

static void deliver_to_mbox(void)
{
    check("mbox@x", DELIVERY_SENT, "2.0.0", "delivered to mailbox");
    char *text = read_file(in_base("x/mbox"));
    static const char rest[] = "Return-Path: <s@y>\nX-Original-To: mbox@x\nDelivered-To: mbox@x\n"
                               "Subject: x\n\n>From me\nbody\n\n";
    assert_memory_equal(text, "From s@y  ", 10);
    assert_int_equal(strchr(text, '\n') - text, 34); /* the date has 24 characters */
    assert_string_equal(strchr(text, '\n') + 1, rest);
    check("mbox@x", DELIVERY_SENT, "2.0.0", "delivered to mailbox");
    assert_int_equal(strlen(read_file(in_base("x/mbox"))), 2 * (35 + sizeof rest - 1));
    assert_int_equal(access(in_base("x/mbox.lock"), F_OK), -1);
}

/* virtual(8) leaves loops to the Received headers: local(8) alone looks at Delivered-To. */
static void deliver_what_has_been_here(void)
{
    struct outcome outcome;
    deliver("mbox@x", "", "s@y", SLICE("Delivered-To: mbox@x\n\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
}

static void deliver_in_vain(void)
{
    struct outcome outcome;
    char reason[1024];
    check("unknown@x", DELIVERY_BOUNCED, "5.1.1", "unknown user: \"unknown@x\"");
    check("broken@x", DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
    check("nobodyhome@x", DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
    check("up@x", DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
    check("empty@x", DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
    deliver("maildir@x", "", "s\n@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_BOUNCED);
    assert_int_equal(mkfifo(in_base("x/fifo"), 0600), 0);
    check("fifo@x", DELIVERY_BOUNCED, "5.3.5",
          (snprintf(reason, sizeof reason, "delivery failed to mailbox %s: mail system configuration error",
                    in_base("x/fifo")), reason));
    assert_int_equal(symlink("mbox", in_base("x/link")), 0);
    deliver("link@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_DEFERRED);
    assert_string_equal(outcome.dsn, "4.2.0");
    assert_int_equal(mkdir(in_base("x/closed"), 0500), 0);
    deliver("closed@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_DEFERRED);
    assert_string_equal(outcome.dsn, "4.2.0");
    assert_non_null(strstr(outcome.reason, ": Permission denied"));
    /* a path through a file */
    deliver("file@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_DEFERRED);
    assert_non_null(strstr(outcome.reason, "maildir delivery failed: create maildir file "));
    assert_non_null(strstr(outcome.reason, ": Not a directory"));
}

static void deliver_over_limit(void)
{
    struct outcome outcome;
    uint64_t limit = virtual_settings.mailbox_limit;
    virtual_settings.mailbox_limit = 100;
    deliver("full@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
    struct stat before, after;
    assert_int_equal(stat(in_base("x/full"), &before), 0);
    deliver("full@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_BOUNCED);
    assert_string_equal(outcome.dsn, "5.2.2");
    assert_non_null(strstr(outcome.reason, ": error writing message: File too large"));
    assert_int_equal(stat(in_base("x/full"), &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    unsigned messages = count_files(in_base("x/maildir/new"), NULL, 0);
    deliver("maildir@x", "", "s@y",
            SLICE("0123456789012345678901234567890123456789012345678901234567890123456789\n"), -1, false, &outcome);
    assert_string_equal(outcome.dsn, "5.2.2");
    assert_string_equal(outcome.reason, "maildir delivery failed: error writing message: File too large");
    assert_int_equal(count_files(in_base("x/maildir/new"), NULL, 0), messages);
    assert_int_equal(count_files(in_base("x/maildir/tmp"), NULL, 0), 0);
    virtual_settings.mailbox_limit = limit;
}

static void deliver_locked(void)
{
    struct outcome outcome;
    char lock[600];
    snprintf(lock, sizeof lock, "%s", in_base("x/locked.lock"));
    int fd = open(lock, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    deliver("locked@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_DEFERRED);
    assert_string_equal(outcome.dsn, "4.2.0");
    assert_non_null(strstr(outcome.reason, "unable to create lock file "));
    assert_int_equal(access(lock, F_OK), 0); /* it was not ours to remove */
    assert_int_equal(unlink(lock), 0);
    fd = open(in_base("x/locked"), O_CREAT | O_RDWR, 0600);
    struct flock region = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    assert_true(fd >= 0 && fcntl(fd, F_OFD_SETLK, &region) == 0);
    deliver("locked@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_DEFERRED);
    assert_non_null(strstr(outcome.reason, "unable to lock for exclusive access"));
    close(fd);
    deliver("locked@x", "", "s@y", SLICE("x\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
}

/* Many at once: each exactly once, all synced together. */
static unsigned finished;

static void one_of_many(void *arg UNUSED)
{
    struct outcome outcome;
    deliver("maildir@x", "", "s@y", SLICE("many\n"), -1, false, &outcome);
    assert_int_equal(outcome.status, DELIVERY_SENT);
    finished++;
}

static void deliver_many(void)
{
    unsigned before = count_files(in_base("x/maildir/new"), NULL, 0);
    for (unsigned i = 0; i < 40; i++)
        fiber_spawn("one", one_of_many, NULL);
    while (finished < 40)
        assert_int_equal(fiber_sleep_until(deadline_in_ms(5)), WAIT_OK);
    assert_int_equal(count_files(in_base("x/maildir/new"), NULL, 0), before + 40);
    assert_int_equal(count_files(in_base("x/maildir/tmp"), NULL, 0), 0);
}

static void all_deliveries(void *done)
{
    deliver_to_maildir();
    deliver_to_mbox();
    assert_int_equal(truncate(in_base("x/mbox"), 0), 0);
    deliver_large();
    deliver_what_has_been_here();
    deliver_in_vain();
    deliver_over_limit();
    deliver_locked();
    deliver_many();
    *(bool *)done = true;
    fiber_loop_stop();
}

static void test_deliveries(void **state)
{
    (void)state;
    bool done = false;
    fiber_spawn("test", all_deliveries, &done);
    fiber_loop_run();
    assert_true(done);
}

/* --- around the tests ------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    int fds[2];
    (void)state;
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
        return -1;
    snprintf(own_uid, sizeof own_uid, "%u", (unsigned)geteuid());
    snprintf(own_gid, sizeof own_gid, "static:%u", (unsigned)getegid());
    if (mkdtemp(base) == NULL)
        return -1;
    config = config_new_default();
    config_set(config, "virtual_mailbox_base", base);
    config_set(config, "virtual_mailbox_maps", "hash:/mailboxes");
    config_set(config, "virtual_uid_maps", "hash:/uids");
    config_set(config, "virtual_gid_maps", own_gid);
    config_set(config, "virtual_minimum_uid", "1");
    config_set(config, "deliver_lock_attempts", "2");
    log_open(&(struct log_options){.sink = LOG_TO_FILE, .fd = open("/dev/null", O_WRONLY), .component = "virtual"});
    fiber_loop_init();
    ipc_socket_pair(fds);
    virtual_role.start(&(struct role_start){.config = config, .service = "virtual"});
    ipc_open(virtual_role.edge(ROLE_QUEUE), fds[0], NULL);
    queue = ipc_open(&queue_edge, fds[1], NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", base);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest as_caller[] = {cmocka_unit_test(test_owner)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_dsn), cmocka_unit_test(test_owner_unprivileged), cmocka_unit_test(test_deliveries),
    };
    int failed = cmocka_run_group_tests(as_caller, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, set_up, tear_down);
}
