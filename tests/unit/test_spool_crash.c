/* SPDX-License-Identifier: ISC */
/*
 * The heart of the promise: the real queue works through a scenario (many submissions at once, deliveries, partial
 * ones, deferrals, bounces, large files, an agent that dies, segments that are recycled) while every change to
 * the disk is recorded. Then the power fails at every step, in three ways, and each time a start must
 * find every acknowledged message whole, once, and with every recipient that nobody has taken care of.
 */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"
#include "tests/unit/disk_model.h"
#include "tests/unit/queue_peers.h"

#define TEST_SEGMENT_SIZE (64u * 1024)
#define MOST_MESSAGES 4000
#define MOST_RECIPIENTS 3
#define CHECKS 400

/* What the outside world knows of a message. */
struct known {
    uint32_t serial;
    char queue_id[QUEUE_ID_SIZE];
    size_t acknowledged; /* the step at which SUBMIT was answered; 0: it was not */
    size_t recipients;
    char address[MOST_RECIPIENTS][64];
    uint64_t hash;
};
static struct known known[MOST_MESSAGES];
static size_t known_count;

/* When an agent took a recipient of a message, or a bounce said so. */
struct taken {
    uint32_t serial;
    uint32_t index;
    size_t step;
};
static struct taken taken[MOST_MESSAGES * MOST_RECIPIENTS];
static size_t taken_count;

static char directory[64], image[64];
static struct ipc_channel *channel;
static unsigned running, answered_badly;

/* --- directories ------------------------------------------------------------------------ */

static void make_directory(char path[64], const char *name)
{
    struct stat info;
    const char *base = stat("/dev/shm", &info) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, 64, "%s/%s.XXXXXX", base, name);
    if (mkdtemp(path) == NULL)
        fail_msg("mkdtemp: %s", strerror(errno));
}

static void remove_tree(const char *path, bool itself)
{
    DIR *open_directory = opendir(path);
    struct dirent *entry;
    while (open_directory != NULL && (entry = readdir(open_directory)) != NULL) {
        char below[512];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &info) == 0 && S_ISDIR(info.st_mode))
            remove_tree(below, true);
        else
            unlink(below);
    }
    if (open_directory != NULL)
        closedir(open_directory);
    if (itself)
        rmdir(path);
}

/* --- the scenario ------------------------------------------------------------------------------ */

/* The agent is about to answer: from here on this recipient may be done. */
static void note_taken(const char *queue_id, uint32_t index)
{
    uint32_t serial;
    if (!queue_id_serial(slice_of(queue_id), &serial) || taken_count == sizeof taken / sizeof taken[0])
        return;
    taken[taken_count++] = (struct taken){serial, index, disk_model_steps()};
}

static void submit_one(const char *recipients, size_t size)
{
    struct known *one = &known[known_count++];
    struct str body = STR_EMPTY, reply;
    struct slice rest = slice_of(recipients), word;
    char *content = mem_alloc(size + 1);
    one->serial = queue_peers_serial(channel);
    for (size_t i = 0; i < size; i++)
        content[i] = (char)('a' + (one->serial + i * i) % 26);
    one->hash = frame_hash(slice_range(content, size));
    while (slice_next_token(&rest, " ", &word))
        snprintf(one->address[one->recipients++], sizeof one->address[0], "%.*s", SLICE_ARGS(word));
    queue_peers_submission(one->serial, "sender@example.org", recipients, slice_range(content, size), &body,
                           one->queue_id);
    if (ipc_call(channel, QUEUE_SUBMIT, str_slice(&body), -1, &reply, NULL, deadline_in_s(30)) == IPC_OK &&
        reply.len > 0 && reply.data[0] == SUBMIT_OK)
        one->acknowledged = disk_model_steps();
    else
        answered_badly++;
    str_free(&reply);
    str_free(&body);
    free(content);
}

/* A large one: its content goes into a file that the queue opened. */
static void submit_file(size_t size)
{
    struct known *one = &known[known_count++];
    struct str body = STR_EMPTY, reply;
    struct submission submission = {.in_file = true, .content_size = size};
    struct recipient recipient = {.address = one->address[0], .original = one->address[0], .dsn_original = one->address[1]};
    char *content = mem_alloc(size);
    int fd = -1;
    memset(content, 'L', size);
    one->recipients = 1;
    one->serial = submission.serial = queue_peers_serial(channel);
    one->hash = submission.content_hash = frame_hash(slice_range(content, size));
    snprintf(one->address[0], sizeof one->address[0], "flip-large@example.com");
    ipc_put_u32(&body, one->serial);
    assert_int_equal(ipc_call(channel, QUEUE_SPOOL_OPEN, str_slice(&body), -1, &reply, &fd, deadline_in_s(30)), IPC_OK);
    str_free(&reply);
    if (fd >= 0) {
        struct iovec piece = {content, size}; /* through spool_io, so that the model sees it */
        assert_int_equal(spool_io_write(fd, &piece, 1, FILE_CONTENT_OFFSET), 0);
        close(fd);
        submission.envelope.arrival_us = wall_us();
        submission.envelope.sender = (char *)(uintptr_t)"sender@example.org";
        submission.envelope.recipients = &recipient;
        submission.envelope.recipient_count = 1;
        queue_id_make(submission.envelope.queue_id, submission.envelope.arrival_us, one->serial, false);
        memcpy(one->queue_id, submission.envelope.queue_id, sizeof one->queue_id);
        str_clear(&body);
        submission_encode(&submission, &body);
        assert_int_equal(ipc_call(channel, QUEUE_SUBMIT, str_slice(&body), -1, &reply, NULL, deadline_in_s(30)), IPC_OK);
        if (reply.len > 0 && reply.data[0] == SUBMIT_OK)
            one->acknowledged = disk_model_steps();
        str_free(&reply);
    }
    str_free(&body);
    free(content);
}

static void client_fiber(void *arg)
{
    static const char *const mixes[] = {
        "user@example.com", "defer@example.com", "user@example.com defer@example.com", "bounce@example.com",
        "user@a.example user@b.example bounce@example.com", "flip@example.com", "user@example.com", "user@example.com",
        "error@example.com", "user@example.com",
    };
    unsigned number = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < 12; i++)
        submit_one(mixes[(number + i) % 10], 100 + (number * 37 + i * 911) % 6000);
    running--;
}

static void run_clients(unsigned count)
{
    running = count;
    for (unsigned i = 0; i < count; i++)
        fiber_spawn("client", client_fiber, (void *)(uintptr_t)i);
    while (running > 0)
        assert_int_equal(fiber_sleep_until(deadline_in_ms(2)), WAIT_OK);
}

static void settle_down(void)
{
    for (int i = 0; i < 50; i++)
        assert_int_equal(fiber_sleep_until(deadline_in_ms(4)), WAIT_OK);
}

static void scenario(void *arg)
{
    (void)arg;
    static const char *const parameters[] = {"minimal_backoff_time", "1s", "maximal_backoff_time", "1s",
                                             "initial_destination_concurrency", "20", NULL};
    queue_peers_on_answer = note_taken;
    queue_peers_start(directory, parameters);
    channel = queue_peers_client();
    run_clients(10);
    submit_file(200000);
    settle_down();
    queue_peers_hold_answers = 1; /* these stay active, in the journal, until the agent dies */
    run_clients(3);
    queue_peers_hold_answers = 0;
    run_clients(12);
    queue_peers_restart_agent();
    settle_down();
    queue_peers_flip = true;
    for (int i = 0; i < 6; i++)
        settle_down(); /* the deferred ones have their second attempt */
    run_clients(4);
    settle_down();
    fiber_loop_stop();
}

/* --- what a start finds ------------------------------------------------------------------------- */

struct found {
    uint32_t serial;
    unsigned times;
    bool done[MOST_RECIPIENTS];
};
static struct found found[MOST_MESSAGES * 2];
static size_t found_count;
static char complaint[256];

static struct found *found_slot(uint32_t serial)
{
    for (size_t i = 0; i < found_count; i++)
        if (found[i].serial == serial)
            return &found[i];
    found[found_count] = (struct found){.serial = serial};
    return &found[found_count++];
}

static const struct known *known_find(uint32_t serial)
{
    for (size_t i = 0; i < known_count; i++)
        if (known[i].serial == serial)
            return &known[i];
    return NULL;
}

static void take_found(uint32_t serial, const struct stored_message *stored, uint64_t hash)
{
    struct found *slot = found_slot(serial);
    const struct known *one = known_find(serial);
    slot->times++;
    for (size_t i = 0; i < stored->envelope.recipient_count && i < MOST_RECIPIENTS; i++)
        slot->done[i] = stored->recipients[i].done;
    if (one != NULL && hash != one->hash)
        snprintf(complaint, sizeof complaint, "%s: the content is not what was sent", one->queue_id);
    if (one != NULL && stored->envelope.recipient_count != one->recipients)
        snprintf(complaint, sizeof complaint, "%s: recipients are missing", one->queue_id);
}

static void on_found(void *context, const struct found_message *message)
{
    struct arena *arena = arena_new();
    struct stored_message stored;
    (void)context;
    if (message->where == PLACE_JOURNAL) {
        if (message_from_frame(message->frame, arena, &stored) != STORED_OK)
            snprintf(complaint, sizeof complaint, "%s: found, but damaged", message->queue_id);
        for (size_t i = 0; i < message->done_count; i++)
            stored.recipients[message->done[i]].done = true;
        take_found(message->serial, &stored, frame_hash(stored.frame.content));
    } else {
        char path[512];
        snprintf(path, sizeof path, "%s/incoming/%s", image, message->queue_id);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || message_file_read(fd, arena, &stored) != STORED_OK)
            snprintf(complaint, sizeof complaint, "%s: found in incoming/, but damaged", message->queue_id);
        else
            take_found(message->serial, &stored, stored.frame.content_hash);
        close(fd);
    }
    arena_free(arena);
}

static void read_files(int queue_directory)
{
    struct spool_walk walk;
    struct walked_file file;
    struct arena *arena = arena_new();
    spool_walk_start(&walk, queue_directory);
    while (spool_walk_next(&walk, &file)) {
        char path[SPOOL_PATH_SIZE];
        struct stored_message stored;
        int fd;
        spool_path(path, file.where, file.queue_id, file.serial);
        enum stored_status status = message_file_open(queue_directory, path, arena, &stored, &fd);
        if (status == STORED_OK && message_file_verify(fd, &stored) == STORED_OK)
            take_found(file.serial, &stored, stored.frame.content_hash);
        else
            snprintf(complaint, sizeof complaint, "%s: damaged", path);
        if (fd >= 0)
            close(fd);
    }
    spool_walk_stop(&walk);
    arena_free(arena);
}

static bool may_be_done(uint32_t serial, uint32_t index, size_t step)
{
    for (size_t i = 0; i < taken_count; i++)
        if (taken[i].serial == serial && taken[i].index == index && taken[i].step <= step)
            return true;
    return false;
}

static void judge(size_t step)
{
    for (size_t i = 0; i < known_count; i++) {
        const struct known *one = &known[i];
        const struct found *slot = found_slot(one->serial);
        if (slot->times > 1)
            snprintf(complaint, sizeof complaint, "%s: is there %u times", one->queue_id, slot->times);
        if (one->acknowledged == 0 || one->acknowledged > step)
            continue;
        for (uint32_t r = 0; r < one->recipients; r++) {
            bool open = slot->times == 1 && !slot->done[r];
            bool by_queue = strncmp(one->address[r], "error", 5) == 0; /* no agent is asked */
            if (!open && !by_queue && !may_be_done(one->serial, r, step))
                snprintf(complaint, sizeof complaint, "%s: recipient %u (%s) is lost", one->queue_id, r, one->address[r]);
        }
    }
}

/* Crashes at a step and starts again. Runs in a child, so that a bug that aborts names its step. */
static void crash_once(size_t step, enum disk_survival survival)
{
    struct spool_options options = {.segment_size = TEST_SEGMENT_SIZE, .most_spare = 4};
    struct spool recovered;
    const char *failed = "";
    remove_tree(image, false);
    int fd = open(image, O_RDONLY | O_DIRECTORY);
    assert_int_equal(spool_make_directories(fd, &failed), 0);
    disk_model_crash(step, survival, (unsigned)step * 7 + 1, image);
    found_count = 0;
    complaint[0] = '\0';
    assert_int_equal(spool_open(&recovered, fd, &options, on_found, NULL, &failed), SPOOL_OPENED);
    read_files(recovered.directory);
    spool_close(&recovered);
    judge(step);
    if (complaint[0] != '\0')
        fail_msg("crash at step %zu of %zu, survival %d: %s", step, disk_model_steps(), survival, complaint);
}

static int run_scenario(void **state)
{
    (void)state;
    make_directory(directory, "posthorn-crash");
    make_directory(image, "posthorn-image");
    queue_segment_size = TEST_SEGMENT_SIZE;
    fiber_loop_init();
    disk_model_start(directory);
    fiber_spawn("scenario", scenario, NULL);
    fiber_loop_run();
    disk_model_stop();
    return 0;
}

static void the_scenario_is_worth_its_name(void **state)
{
    (void)state;
    assert_int_equal(answered_badly, 0);
    assert_true(known_count > 300);
    assert_true(disk_model_steps() > 300);
    assert_true(spool.next_generation > 10); /* segments were recycled */
}

static void acknowledged_mail_survives_a_crash_at_any_step(void **state)
{
    (void)state;
    size_t steps = disk_model_steps(), stride = steps / CHECKS + 1;
    for (size_t step = 0; step <= steps; step += stride)
        for (enum disk_survival survival = SURVIVES_NOTHING; survival <= SURVIVES_BY_CHANCE; survival++)
            crash_once(step, survival);
}

static int clean_up(void **state)
{
    (void)state;
    remove_tree(directory, true);
    remove_tree(image, true);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scenario_is_worth_its_name),
        cmocka_unit_test(acknowledged_mail_survives_a_crash_at_any_step),
    };
    FILE *nowhere = fopen("/dev/null", "w");
    struct log_options options = {.sink = LOG_TO_FILE, .fd = nowhere != NULL ? fileno(nowhere) : -1,
                                  .syslog_name = "postfix", .component = "queue", .host_name = "mx"};
    if (getenv("TEST_LOG") == NULL)
        log_open(&options);
    return cmocka_run_group_tests(tests, run_scenario, clean_up);
}
