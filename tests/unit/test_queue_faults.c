/* SPDX-License-Identifier: ISC */
/* The queue role when disks fail, descriptors run out, clients misbehave, and when it stops. */
#include "tests/unit/queue_session.h"

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
    submit("", "slow@example.com", "\nx\n", NULL); /* this one is with its agent, which answers in a moment */
    WAIT_UNTIL(seen.recipients == before + 2);
    queue_peers_draining = true;
    queue_role.drain();
    assert_int_equal(spool_open(&after, open(directory, O_RDONLY | O_DIRECTORY), &options, count_found, NULL, &failed), SPOOL_OPENED);
    assert_int_equal(found_messages, 1);
    assert_int_equal(found_done, 1);
    spool_close(&after);
}

/* Without the loop: the queue is gone. */
static void a_spool_opens_on_a_full_disk(void **state)
{
    (void)state;
    static const struct { int error; enum spool_open_status expect; } cases[] = {
        {ENOSPC, SPOOL_OPENED}, {EDQUOT, SPOOL_OPENED}, {EIO, SPOOL_FAILED}};
    struct spool_options options = {.segment_size = SEGMENT_SIZE, .most_spare = 4};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[128];
        struct spool full;
        const char *failed;
        uint32_t serial;
        snprintf(path, sizeof path, "%s/full%zu", directory, i);
        assert_int_equal(mkdir(path, 0700), 0);
        failing_call = SPOOL_IO_WRITE;
        failing_error = cases[i].error;
        spool_io_set_hook(fail_calls);
        assert_int_equal(spool_open(&full, open(path, O_RDONLY | O_DIRECTORY), &options, count_found, NULL, &failed), cases[i].expect);
        assert_false(spool_take_serials(&full, 1, &serial)); /* a number is not given out twice, whatever the disk does */
        spool_io_set_hook(NULL);
        spool_close(&full);
    }
}

#define ALL_TESTS(X) \
    X(a_disk_that_fails_is_told_and_loses_nothing) X(a_message_that_cannot_be_moved_stays_safe) \
    X(a_file_whose_move_is_not_synced_is_found_again) \
    X(what_is_to_be_held_is_not_delivered_when_the_disk_fails) \
    X(a_recipient_that_cannot_be_marked_gets_it_once) X(a_held_message_that_is_gone_can_be_expired) \
    X(a_damaged_frame_is_kept_until_it_is_saved) X(a_stop_remembers_who_has_the_message)
ALL_TESTS(TEST)

int main(void)
{
    const struct CMUnitTest tests[] = {ALL_TESTS(ENTRY) cmocka_unit_test(a_spool_opens_on_a_full_disk)};
    return queue_session_main("queue", tests, sizeof tests / sizeof tests[0]);
}
