/* SPDX-License-Identifier: ISC */
/* The queue role with its neighbours played: intake, delivery, retry, bounces, control, failing disks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/control_protocol.h"
#include "common/spool/spool_io.h"
#include "queue/role.h"
#include "tests/unit/queue_peers.h"

static char directory[64], log_path[80];
static struct ipc_channel *channel, *control;

/* --- helpers --------------------------------------------------------------------------------- */

static void wait_ms(int ms)
{
    assert_int_equal(fiber_sleep_until(deadline_in_ms(ms)), WAIT_OK);
}

#define WAIT_UNTIL(condition) \
    do { \
        int64_t give_up = deadline_in_s(10); \
        while (!(condition)) { \
            if (clock_ms() >= give_up) \
                fail_msg("never happened: %s", #condition); \
            wait_ms(2); \
        } \
    } while (0)

static bool log_has(const char *text)
{
    static char all[1 << 20];
    FILE *file = fopen(log_path, "r");
    log_flush();
    size_t len = file != NULL ? fread(all, 1, sizeof all - 1, file) : 0;
    all[len] = '\0';
    if (file != NULL)
        fclose(file);
    return strstr(all, text) != NULL;
}

static void expect_log(const char *queue_id, const char *what)
{
    char text[512];
    snprintf(text, sizeof text, ": %s: %s", queue_id, what);
    if (!log_has(text))
        fail_msg("not in the log: %s", text);
}

static const struct ipc_edge control_client_edge = {.name = "test command", .trust = IPC_FROM_CLIENT};

static void connect_control(void)
{
    int fds[2];
    ipc_socket_pair(fds);
    control_serve(fds[0]);
    control = ipc_open(&control_client_edge, fds[1], NULL);
}

static unsigned change(uint8_t action, const char *id)
{
    struct str body = STR_EMPTY, reply;
    char *ids[] = {(char *)(uintptr_t)id};
    struct control_change wanted = {.action = action, .queues = CONTROL_IN_ALL, .all = id == NULL, .ids = ids, .id_count = id != NULL};
    control_change_encode(&wanted, &body);
    assert_int_equal(ipc_call(control, CONTROL_CHANGE, str_slice(&body), -1, &reply, NULL, deadline_in_s(5)), IPC_OK);
    struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
    assert_int_equal(ipc_get_u8(&reader), CONTROL_OK);
    unsigned count = ipc_get_u32(&reader);
    str_free(&body);
    str_free(&reply);
    return count;
}

static void flush(void)
{
    struct str reply;
    assert_int_equal(ipc_call(control, CONTROL_FLUSH, SLICE(""), -1, &reply, NULL, deadline_in_s(5)), IPC_OK);
    str_free(&reply);
}

/* The queue that a message is in, as mailq sees it; 0: nowhere. */
static uint8_t listed_in(const char *queue_id, char reason[256])
{
    struct str body = STR_EMPTY, reply;
    struct arena *arena = arena_new();
    uint8_t queue = 0;
    ipc_put_u32(&body, 0);
    assert_int_equal(ipc_call(control, CONTROL_LIST, str_slice(&body), -1, &reply, NULL, deadline_in_s(5)), IPC_OK);
    struct ipc_reader reader = ipc_reader_of(slice_skip(str_slice(&reply), 5));
    while (reader.left > 0) {
        struct listed_message message;
        assert_true(listed_message_decode(&reader, arena, &message));
        if (strcmp(message.queue_id, queue_id) != 0)
            continue;
        queue = message.queue;
        if (reason != NULL)
            snprintf(reason, 256, "%s", message.recipient_count > 0 ? message.recipients[0].reason : "");
    }
    arena_free(arena);
    str_free(&body);
    str_free(&reply);
    return queue;
}

static void submit(const char *sender, const char *recipients, const char *content, char queue_id[QUEUE_ID_SIZE])
{
    assert_int_equal(queue_peers_submit(channel, sender, recipients, content, queue_id), SUBMIT_OK);
}

/* --- what it does ---------------------------------------------------------------------------------- */

static void a_message_is_delivered_and_forgotten(void)
{
    char id[QUEUE_ID_SIZE];
    unsigned before = seen.recipients;
    submit("a@example.org", "user@example.com", "Subject: x\n\nhello\n", id);
    WAIT_UNTIL(seen.recipients == before + 1 && message_find_id(slice_of(id)) == NULL);
    assert_string_equal(seen.last_content, "Subject: x\n\nhello\n");
    assert_string_equal(seen.last_sender, "a@example.org");
    assert_true(log_has("postfix/qmgr["));
    expect_log(id, "from=<a@example.org>, size=18, nrcpt=1 (queue active)");
    expect_log(id, "removed");
}

static void recipients_of_one_destination_share_a_delivery(void)
{
    unsigned deliveries = seen.deliveries, recipients = seen.recipients;
    submit("a@example.org", "u1@x.example u2@x.example u3@y.example", "\nx\n", NULL);
    WAIT_UNTIL(seen.recipients == recipients + 3);
    assert_int_equal(seen.deliveries, deliveries + 2);
}

static void a_large_message_goes_through_a_file(void)
{
    struct str reply, body = STR_EMPTY;
    struct submission submission = {.in_file = true, .content_size = 300000};
    struct recipient to = {.address = (char *)(uintptr_t)"big@example.com", .original = (char *)(uintptr_t)"", .dsn_original = (char *)(uintptr_t)""};
    char *content = mem_alloc(300001), path[256];
    int fd = -1;
    unsigned before = seen.recipients;
    memset(content, 'L', 300000);
    submission.serial = queue_peers_serial(channel);
    ipc_put_u32(&body, submission.serial);
    assert_int_equal(ipc_call(channel, QUEUE_SPOOL_OPEN, str_slice(&body), -1, &reply, &fd, deadline_in_s(5)), IPC_OK);
    str_free(&reply);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, 300000), 300000);
    close(fd);
    submission.content_hash = frame_hash(slice_range(content, 300000));
    submission.envelope = (struct envelope){.arrival_us = wall_us(), .sender = (char *)(uintptr_t)"a@example.org", .recipients = &to, .recipient_count = 1};
    queue_id_make(submission.envelope.queue_id, wall_us(), submission.serial, true);
    str_clear(&body);
    submission_encode(&submission, &body);
    assert_int_equal(ipc_call(channel, QUEUE_SUBMIT, str_slice(&body), -1, &reply, NULL, deadline_in_s(5)), IPC_OK);
    assert_int_equal(reply.data[0], SUBMIT_OK);
    WAIT_UNTIL(seen.recipients == before + 1 && message_find(submission.serial) == NULL);
    assert_int_equal(seen.last_content[65534], 'L');
    snprintf(path, sizeof path, "%s/incoming/%s", directory, submission.envelope.queue_id);
    assert_int_equal(access(path, F_OK), -1);
    str_free(&reply);
    str_free(&body);
    free(content);
}

static void a_deferred_message_waits_in_a_file_and_tells_why(void)
{
    char id[QUEUE_ID_SIZE], reason[256], path[256];
    uint32_t serial;
    queue_peers_flip = false;
    submit("a@example.org", "flip@example.com user@example.com", "\nx\n", id);
    WAIT_UNTIL(listed_in(id, reason) == CONTROL_IN_DEFERRED);
    assert_string_equal(reason, "host mail.example[192.0.2.1] said: 450 4.2.0 later");
    assert_true(queue_id_serial(slice_of(id), &serial));
    snprintf(path, sizeof path, "%s/deferred/%X/%s", directory, serial % 16, id);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_in_range(info.st_mtime, time(NULL) + 295, time(NULL) + 305);
    unsigned before = seen.recipients;
    queue_peers_flip = true;
    flush();
    WAIT_UNTIL(message_find(serial) == NULL);
    assert_int_equal(seen.recipients, before + 1); /* not the one that had it already */
    assert_int_equal(access(path, F_OK), -1);
}

static void a_failed_recipient_yields_a_bounce(void)
{
    char id[QUEUE_ID_SIZE], text[256];
    unsigned before = seen.recipients;
    submit("sender@example.org", "bounce@example.com", "Subject: lost\n\nbody\n", id);
    WAIT_UNTIL(seen.recipients == before + 2 && message_find_id(slice_of(id)) == NULL);
    assert_string_equal(seen.last_sender, "");
    assert_string_equal(seen.last_recipient, "sender@example.org");
    static const char *const parts[] = {
        "Subject: Undelivered Mail Returned to Sender", "Auto-Submitted: auto-replied",
        "From: Mail Delivery System <MAILER-DAEMON@mx.example>", "Content-Type: multipart/report; report-type=delivery-status;",
        "Reporting-MTA: dns; mx.example\n", "X-Postfix-Sender: rfc822; sender@example.org\n",
        "Final-Recipient: rfc822; bounce@example.com\n", "Action: failed\nStatus: 5.1.1\nRemote-MTA: dns; mail.example\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\n", "Content-Type: message/rfc822\n", "Subject: lost\n\nbody\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(seen.last_content, parts[i]) == NULL)
            fail_msg("not in the bounce: %s\n%s", parts[i], seen.last_content);
    snprintf(text, sizeof text, "X-Postfix-Queue-ID: %s\n", id);
    assert_non_null(strstr(seen.last_content, text));
    assert_true(log_has("postfix/bounce["));
    expect_log(id, "sender non-delivery notification: ");
}

static void bounces_never_loop(void)
{
    char id[QUEUE_ID_SIZE];
    unsigned before = seen.recipients;
    submit("", "bounce@example.com", "\nx\n", id); /* notify_classes has no 2bounce */
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    assert_int_equal(seen.recipients, before + 1);
    submit("double-bounce@mx.example", "bounce@example.com", "\nx\n", id);
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    wait_ms(20);
    assert_int_equal(seen.recipients, before + 2);
    expect_log(id, "undeliverable postmaster notification discarded");
    submit("bounce@example.com", "bounce-too@example.com", "\nx\n", id); /* the bounce bounces */
    WAIT_UNTIL(seen.recipients == before + 4);
    wait_ms(50);
    assert_int_equal(seen.recipients, before + 4);
}

static void transports_of_its_own(void)
{
    char id[QUEUE_ID_SIZE], reason[256];
    unsigned before = seen.recipients;
    submit("", "discard@example.com", "\nx\n", id);
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    assert_true(log_has("postfix/discard["));
    submit("", "error@example.com", "\nx\n", id);
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    expect_log(id, "to=<error@example.com>, relay=none, delay=");
    assert_true(log_has("dsn=5.1.1, status=bounced (user unknown)"));
    submit("", "tablefail@example.com", "\nx\n", id);
    WAIT_UNTIL(listed_in(id, reason) == CONTROL_IN_DEFERRED);
    assert_int_equal(change(CONTROL_DELETE, id), 1);
    submit("", "user@no.agent", "\nx\n", id);
    WAIT_UNTIL(listed_in(id, reason) == CONTROL_IN_DEFERRED);
    assert_string_equal(reason, "mail transport unavailable");
    assert_int_equal(change(CONTROL_DELETE, id), 1);
    assert_int_equal(seen.recipients, before);
}

static void a_dead_destination_is_left_alone(void)
{
    char id[QUEUE_ID_SIZE], reason[256];
    for (int i = 0; i < 6; i++) {
        submit("", "dead@dead.example", "\nx\n", id);
        WAIT_UNTIL(listed_in(id, reason) == CONTROL_IN_DEFERRED);
    }
    unsigned before = seen.deliveries;
    submit("", "dead@dead.example", "\nx\n", id);
    WAIT_UNTIL(listed_in(id, reason) == CONTROL_IN_DEFERRED);
    assert_string_equal(reason, "delivery temporarily suspended: connect to mail.example[192.0.2.1]:24: Connection refused");
    assert_int_equal(seen.deliveries, before);
    assert_int_equal(change(CONTROL_DELETE, NULL), 7);
    WAIT_UNTIL(message_count() == 0);
}

static void an_agent_that_dies_loses_nothing(void)
{
    char id[QUEUE_ID_SIZE];
    queue_peers_hold_answers = 1;
    unsigned before = seen.deliveries;
    submit("", "user@example.com", "\nx\n", id);
    WAIT_UNTIL(seen.deliveries == before + 1);
    queue_peers_hold_answers = 0;
    queue_peers_restart_agent();
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    assert_int_equal(seen.deliveries, before + 2);
}

static void an_admin_holds_releases_and_deletes(void)
{
    char id[QUEUE_ID_SIZE], path[256];
    queue_peers_flip = false;
    submit("", "flip@example.com", "\nx\n", id);
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_DEFERRED);
    assert_int_equal(change(CONTROL_HOLD, id), 1);
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_HOLD);
    snprintf(path, sizeof path, "%s/hold/%s", directory, id);
    WAIT_UNTIL(access(path, F_OK) == 0);
    assert_int_equal(change(CONTROL_HOLD, id), 0);
    queue_peers_flip = true;
    flush();
    wait_ms(50);
    assert_int_equal(listed_in(id, NULL), CONTROL_IN_HOLD);
    assert_int_equal(change(CONTROL_RELEASE, id), 1);
    WAIT_UNTIL(listed_in(id, NULL) == 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(change(CONTROL_DELETE, "ABCDE12345"), 0);
}

static void an_expired_message_goes_back(void)
{
    char id[QUEUE_ID_SIZE];
    submit("sender@example.org", "defer@example.com", "\nx\n", id);
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_DEFERRED);
    unsigned before = seen.recipients;
    assert_int_equal(change(CONTROL_EXPIRE, id), 1);
    WAIT_UNTIL(seen.recipients == before + 2 && message_find_id(slice_of(id)) == NULL);
    assert_string_equal(seen.last_recipient, "sender@example.org");
    expect_log(id, "from=<sender@example.org>, status=force-expired, returned to sender");
}

static void the_content_can_be_read(void)
{
    char id[QUEUE_ID_SIZE];
    struct str body = STR_EMPTY, reply;
    struct control_content content;
    struct arena *arena = arena_new();
    int fd = -1;
    char text[16] = "";
    submit("", "defer@example.com", "\nreadme\n", id);
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_DEFERRED);
    ipc_put_text(&body, id);
    assert_int_equal(ipc_call(control, CONTROL_READ, str_slice(&body), -1, &reply, &fd, deadline_in_s(5)), IPC_OK);
    struct ipc_reader reader = ipc_reader_of(slice_skip(str_slice(&reply), 1));
    assert_int_equal(reply.data[0], CONTROL_OK);
    assert_true(control_content_decode(&reader, arena, &content));
    assert_true(content.in_file && fd >= 0);
    assert_int_equal(pread(fd, text, 8, (off_t)content.content_offset), 8);
    assert_string_equal(text, "\nreadme\n");
    close(fd);
    assert_int_equal(change(CONTROL_DELETE, id), 1);
    str_free(&reply);
    str_free(&body);
    arena_free(arena);
}

/* --- failing disks --------------------------------------------------------------------------------- */

static enum spool_io_call failing_call;
static int failing_error;
static unsigned failures;

static int fail_calls(const struct spool_io_event *event)
{
    if (event->call != failing_call)
        return 0;
    failures++;
    return failing_error;
}

static void a_disk_that_fails_is_told_and_loses_nothing(void)
{
    static const struct { enum spool_io_call call; int error; enum submit_status expect; } cases[] = {
        {SPOOL_IO_WRITE, ENOSPC, SUBMIT_NO_SPACE}, {SPOOL_IO_WRITE, EIO, SUBMIT_ERROR},
        {SPOOL_IO_SYNC, EIO, SUBMIT_ERROR},        {SPOOL_IO_SYNC, ENOSPC, SUBMIT_NO_SPACE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char id[QUEUE_ID_SIZE];
        WAIT_UNTIL(message_count() == 0);
        unsigned before = seen.recipients;
        failing_call = cases[i].call;
        failing_error = cases[i].error;
        failures = 0;
        spool_io_set_hook(fail_calls);
        enum submit_status status = queue_peers_submit(channel, "", "user@example.com", "\nx\n", id);
        if (status != cases[i].expect)
            fail_msg("case %zu: %d", i, status);
        assert_true(failures > 0);
        spool_io_set_hook(NULL);
        assert_int_equal(message_count(), 0);
        assert_int_equal(seen.recipients, before); /* what was not accepted is not delivered */
        /* After an error segments are not tried for a second: then it works again. */
        WAIT_UNTIL(queue_peers_submit(channel, "", "user@example.com", "\nx\n", id) == SUBMIT_OK);
        WAIT_UNTIL(message_count() == 0);
    }
}

static void a_message_that_cannot_be_moved_stays_safe(void)
{
    static const enum spool_io_call calls[] = {SPOOL_IO_CREATE, SPOOL_IO_SET_TIME};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        char id[QUEUE_ID_SIZE];
        queue_peers_flip = false;
        failing_call = calls[i];
        failing_error = ENOSPC;
        failures = 0;
        spool_io_set_hook(fail_calls);
        submit("", "flip@example.com user@example.com", "\nkept\n", id);
        WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_DEFERRED && failures > 0);
        struct message *message = message_find_id(slice_of(id));
        assert_int_equal(message->where, PLACE_JOURNAL);
        spool_io_set_hook(NULL);
        queue_peers_flip = true;
        unsigned before = seen.recipients;
        flush();
        WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
        assert_int_equal(seen.recipients, before + 1);
        assert_string_equal(seen.last_content, "\nkept\n");
    }
}

static void defer_one(char id[QUEUE_ID_SIZE])
{
    queue_peers_flip = false;
    submit("", "flip@example.com", "\nkept\n", id);
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_DEFERRED);
    failures = 0;
    failing_error = EIO;
}

/* After the rename nobody may look for it under its old name. */
static void a_file_whose_move_is_not_synced_is_found_again(void)
{
    char id[QUEUE_ID_SIZE];
    defer_one(id);
    failing_call = SPOOL_IO_SYNC;
    spool_io_set_hook(fail_calls);
    assert_int_equal(change(CONTROL_HOLD, id), 1);
    WAIT_UNTIL(failures > 0 && listed_in(id, NULL) == CONTROL_IN_HOLD);
    spool_io_set_hook(NULL);
    queue_peers_flip = true;
    unsigned before = seen.recipients;
    assert_int_equal(change(CONTROL_RELEASE, id), 1);
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    assert_int_equal(seen.recipients, before + 1);
}

static void what_is_to_be_held_is_not_delivered_when_the_disk_fails(void)
{
    char id[QUEUE_ID_SIZE];
    defer_one(id);
    failing_call = SPOOL_IO_RENAME;
    spool_io_set_hook(fail_calls);
    queue_peers_flip = true;
    unsigned before = seen.recipients;
    assert_int_equal(change(CONTROL_HOLD, id), 1);
    WAIT_UNTIL(failures > 0);
    unsigned failed = failures;
    flush();
    WAIT_UNTIL(failures > failed);
    spool_io_set_hook(NULL);
    WAIT_UNTIL(message_find_id(slice_of(id)) != NULL && message_find_id(slice_of(id))->state == MESSAGE_WAITING);
    flush();
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_HOLD);
    assert_int_equal(seen.recipients, before);
    assert_int_equal(change(CONTROL_DELETE, id), 1);
}

/* Delivered to one, the update fails, then the other: the first one must not get it again. */
static void a_recipient_that_cannot_be_marked_gets_it_once(void)
{
    char id[QUEUE_ID_SIZE];
    queue_peers_flip = false;
    submit("", "flip@example.com flip@other.example", "\nonce\n", id);
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_DEFERRED);
    unsigned before = seen.recipients;
    failures = 0;
    failing_call = SPOOL_IO_WRITE;
    failing_error = ENOSPC;
    queue_peers_flip_only = "flip@example.com";
    spool_io_set_hook(fail_calls);
    flush();
    WAIT_UNTIL(failures > 0 && message_find_id(slice_of(id))->state == MESSAGE_WAITING);
    assert_int_equal(seen.recipients, before + 2);
    spool_io_set_hook(NULL);
    queue_peers_flip_only = NULL;
    queue_peers_flip = true;
    flush();
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    assert_int_equal(seen.recipients, before + 3);
}

static void a_held_message_that_is_gone_can_be_expired(void)
{
    char id[QUEUE_ID_SIZE], path[256];
    defer_one(id);
    assert_int_equal(change(CONTROL_HOLD, id), 1);
    snprintf(path, sizeof path, "%s/hold/%s", directory, id);
    WAIT_UNTIL(message_find_id(slice_of(id))->state == MESSAGE_HELD);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(change(CONTROL_EXPIRE, id), 0);
    assert_null(message_find_id(slice_of(id)));
}

/* Damage in the journal: the bytes are saved, and until they are, their segment keeps them. */
static void a_damaged_frame_is_kept_until_it_is_saved(void)
{
    char id[QUEUE_ID_SIZE], path[256];
    failing_call = SPOOL_IO_CREATE;
    failing_error = ENOSPC;
    failures = 0;
    queue_peers_flip = false;
    spool_io_set_hook(fail_calls);
    submit("", "flip@example.com", "\ndamaged\n", id);
    WAIT_UNTIL(listed_in(id, NULL) == CONTROL_IN_DEFERRED && failures > 0);
    struct message *message = message_find_id(slice_of(id));
    const struct journal_place *place = &message->active->place;
    assert_int_equal(message->where, PLACE_JOURNAL);
    assert_int_equal(pwrite(place->segment->fd, "?", 1, place->offset + FRAME_HEADER_SIZE), 1);
    unsigned failed = failures;
    flush();
    WAIT_UNTIL(failures > failed);
    WAIT_UNTIL(message_find_id(slice_of(id)) == message && message->state == MESSAGE_WAITING);
    assert_non_null(place->segment);
    spool_io_set_hook(NULL);
    flush();
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    snprintf(path, sizeof path, "%s/corrupt/%s", directory, id);
    assert_int_equal(access(path, F_OK), 0);
}

static unsigned found_done, found_messages;

static void count_found(void *context, const struct found_message *found)
{
    (void)context;
    found_messages++;
    found_done += (unsigned)found->done_count;
}

/* The last test: afterwards there is no queue. */
static void a_stop_remembers_who_has_the_message(void)
{
    struct spool after;
    struct spool_options options = {.segment_size = SEGMENT_SIZE, .read_only = true};
    const char *failed;
    unsigned before = seen.recipients;
    WAIT_UNTIL(message_count() == 0);
    submit("", "user@example.com user@no.agent", "\nx\n", NULL); /* the second one waits for its agent */
    WAIT_UNTIL(seen.recipients == before + 1);
    wait_ms(20);
    queue_peers_draining = true;
    queue_role.drain();
    assert_int_equal(spool_open(&after, open(directory, O_RDONLY | O_DIRECTORY), &options, count_found, NULL, &failed), SPOOL_OPENED);
    assert_int_equal(found_messages, 1);
    assert_int_equal(found_done, 1);
    spool_close(&after);
}

/* --- running them -------------------------------------------------------------------------------------- */

static void (*current)(void);

static void run_fiber(void *arg)
{
    static bool started;
    static const char *const parameters[] = {"notify_classes", "resource, software", NULL};
    (void)arg;
    if (!started) {
        queue_peers_start(directory, parameters);
        channel = queue_peers_client();
        connect_control();
        started = true;
    }
    current();
    fiber_loop_stop();
}

static void run(void (*test)(void))
{
    current = test;
    fiber_spawn("test", run_fiber, NULL);
    fiber_loop_run();
}

#define TEST(name) \
    static void run_##name(void **state) { (void)state; run(name); }
#define ALL_TESTS(X) \
    X(a_message_is_delivered_and_forgotten) X(recipients_of_one_destination_share_a_delivery) \
    X(a_large_message_goes_through_a_file) X(a_deferred_message_waits_in_a_file_and_tells_why) \
    X(a_failed_recipient_yields_a_bounce) X(bounces_never_loop) X(transports_of_its_own) \
    X(a_dead_destination_is_left_alone) X(an_agent_that_dies_loses_nothing) \
    X(an_admin_holds_releases_and_deletes) X(an_expired_message_goes_back) X(the_content_can_be_read) \
    X(a_disk_that_fails_is_told_and_loses_nothing) X(a_message_that_cannot_be_moved_stays_safe) \
    \
    X(a_file_whose_move_is_not_synced_is_found_again) X(what_is_to_be_held_is_not_delivered_when_the_disk_fails) \
    X(a_recipient_that_cannot_be_marked_gets_it_once) X(a_held_message_that_is_gone_can_be_expired) \
    X(a_damaged_frame_is_kept_until_it_is_saved) X(a_stop_remembers_who_has_the_message)
ALL_TESTS(TEST)

#define ENTRY(name) cmocka_unit_test(run_##name),

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
    snprintf(directory, sizeof directory, "/tmp/posthorn-queue.XXXXXX");
    if (mkdtemp(directory) == NULL)
        log_fatal("mkdtemp: %s", strerror(errno));
    snprintf(log_path, sizeof log_path, "%s/log", directory);
    struct log_options options = {.sink = LOG_TO_FILE, .fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600),
                                  .syslog_name = "postfix", .component = "queue", .host_name = "mx"};
    log_open(&options);
    fiber_loop_init();
    const struct CMUnitTest tests[] = {ALL_TESTS(ENTRY)};
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
