/* SPDX-License-Identifier: ISC */
/* The queue role with its neighbours played: intake, delivery, retry, bounces, control. */
#include "tests/unit/queue_session.h"

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

static void a_bounce_goes_where_the_aliases_of_its_addressee_say(void)
{
    char id[QUEUE_ID_SIZE], reason[256];
    unsigned before = seen.recipients;
    queue_peers_flip = false;
    submit("list@example.org", "bounce@example.com", "\nx\n", id);
    WAIT_UNTIL(seen.recipients == before + 3 && message_find_id(slice_of(id)) == NULL); /* itself, and both members */
    assert_string_equal(seen.last_recipient, "two@example.org");
    before = seen.recipients;
    submit("noalias@example.org", "bounce@example.com", "\nx\n", id); /* a table is broken: nothing is lost */
    WAIT_UNTIL(listed_in(id, reason) == CONTROL_IN_DEFERRED);
    assert_int_equal(seen.recipients, before + 1);
    expect_log(id, "cannot tell whom a notification to <noalias@example.org> reaches");
    queue_peers_flip = true;
    flush();
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    WAIT_UNTIL(strcmp(seen.last_recipient, "noalias@example.org") == 0);
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

#define ALL_TESTS(X) \
    X(a_message_is_delivered_and_forgotten) X(recipients_of_one_destination_share_a_delivery) \
    X(a_large_message_goes_through_a_file) X(a_deferred_message_waits_in_a_file_and_tells_why) \
    X(a_failed_recipient_yields_a_bounce) X(a_bounce_goes_where_the_aliases_of_its_addressee_say) \
    X(bounces_never_loop) X(transports_of_its_own) \
    X(a_dead_destination_is_left_alone) X(an_agent_that_dies_loses_nothing) \
    X(an_admin_holds_releases_and_deletes) X(an_expired_message_goes_back) X(the_content_can_be_read)
ALL_TESTS(TEST)

int main(void)
{
    const struct CMUnitTest tests[] = {ALL_TESTS(ENTRY)};
    return queue_session_main("queue", tests, sizeof tests / sizeof tests[0]);
}
