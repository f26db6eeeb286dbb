/* SPDX-License-Identifier: ISC */
/* queue_session: see queue_session.h. */
#include "tests/unit/queue_session.h"

char directory[64];
struct ipc_channel *channel, *control;

static char log_path[80];

/* --- helpers --------------------------------------------------------------------------------- */

void wait_ms(int ms)
{
    assert_int_equal(fiber_sleep_until(deadline_in_ms(ms)), WAIT_OK);
}

bool log_has(const char *text)
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

void expect_log(const char *queue_id, const char *what)
{
    char text[512];
    snprintf(text, sizeof text, ": %s: %s", queue_id, what);
    if (!log_has(text))
        fail_msg("not in the log: %s", text);
}

static const struct ipc_edge control_client_edge = {.name = "test command", .trust = IPC_FROM_CLIENT};

void connect_control(void)
{
    int fds[2];
    ipc_socket_pair(fds);
    control_serve(fds[0]);
    control = ipc_open(&control_client_edge, fds[1], NULL);
}

unsigned change(uint8_t action, const char *id)
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

void flush(void)
{
    struct str reply;
    assert_int_equal(ipc_call(control, CONTROL_FLUSH, SLICE(""), -1, &reply, NULL, deadline_in_s(5)), IPC_OK);
    str_free(&reply);
}

uint8_t listed_in(const char *queue_id, char reason[256])
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

void submit(const char *sender, const char *recipients, const char *content, char queue_id[QUEUE_ID_SIZE])
{
    assert_int_equal(queue_peers_submit(channel, sender, recipients, content, queue_id), SUBMIT_OK);
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
        (void)queue_peers_serial(channel); /* comes when the new spool has its first segment: no fault is meant for that */
        connect_control();
        started = true;
    }
    current();
    fiber_loop_stop();
}

void queue_session_run(void (*test)(void))
{
    current = test;
    fiber_spawn("test", run_fiber, NULL);
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

int queue_session_main(const char *name, const struct CMUnitTest *tests, size_t count)
{
    snprintf(directory, sizeof directory, "/tmp/posthorn-queue.XXXXXX");
    if (mkdtemp(directory) == NULL)
        log_fatal("mkdtemp: %s", strerror(errno));
    snprintf(log_path, sizeof log_path, "%s/log", directory);
    struct log_options options = {.sink = LOG_TO_FILE, .fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600),
                                  .syslog_name = "postfix", .component = "queue", .host_name = "mx"};
    log_open(&options);
    fiber_loop_init();
    return _cmocka_run_group_tests(name, tests, count, NULL, clean_up);
}
