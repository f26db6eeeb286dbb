/* SPDX-License-Identifier: ISC */
/*
 * queue_client: talks to the queue over public/postqueue. Used by the commands with the rights of whoever typed them;
 * the queue decides whether they suffice.
 */
#include "commands/queue_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define ANSWER_S 600

static struct {
    struct queue_client client;
    int (*run)(struct queue_client *client);
    int result;
} session;

void queue_client_fail(int status, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fflush(stdout);
    log_info("fatal: %s", text);
    exit(status);
}

/* --- connecting ----------------------------------------------------------------------------- */

static const struct ipc_edge client_edge = {.name = "command->queue", .trust = IPC_FROM_CLIENT};

/* By working directory: the full path may be longer than a socket address takes. */
static void client_connect(struct queue_client *client)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = CONTROL_SOCKET};
    int fd = -1;
    if (chdir(config_string(client->config, "queue_directory")) == 0)
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        client->connect_error = errno;
        if (fd >= 0)
            close(fd);
        return;
    }
    client->channel = ipc_open(&client_edge, fd, NULL);
}

static void client_fiber(void *arg UNUSED)
{
    client_connect(&session.client);
    session.result = session.run(&session.client);
    fiber_loop_stop();
}

/*
 * postqueue is installed set-gid, so that anybody can reach the socket: then only directories that the
 * administrator listed may say which socket that is.
 */
static void check_directory(const char *directory)
{
    struct config_problems problems = {NULL, 0};
    struct arena *arena = arena_new();
    char **items;
    bool allowed = getegid() == getgid() || getuid() == 0 || strcmp(directory, POSTHORN_CONFIG_DIRECTORY) == 0;
    struct config *config = allowed ? NULL : config_load(POSTHORN_CONFIG_DIRECTORY, &problems);
    if (config != NULL) {
        size_t count = config_split_list(config_string(config, "alternate_config_directories"), arena, &items);
        for (size_t i = 0; i < count && !allowed; i++)
            allowed = strcmp(items[i], directory) == 0;
        config_free(config);
    }
    if (!allowed)
        queue_client_fail(EX_NOPERM, "unauthorized configuration directory name: %s", directory);
    config_problems_free(&problems);
    arena_free(arena);
}

int queue_client_main(const char *program, const char *directory, int (*run)(struct queue_client *client))
{
    struct config_problems problems = {NULL, 0};
    struct log_options options = {.sink = LOG_TO_STDERR, .fd = -1, .component = program};
    log_open(&options);
    if (directory == NULL)
        directory = getenv("MAIL_CONFIG");
    if (directory == NULL)
        directory = POSTHORN_CONFIG_DIRECTORY;
    check_directory(directory);
    struct config *config = config_load(directory, &problems);
    if (config == NULL)
        queue_client_fail(EX_CONFIG, "%s", problems.count > 0 ? problems.list[0].text : "no configuration");
    config_problems_free(&problems);
    session.client.config = config;
    session.run = run;
    fiber_loop_init();
    fiber_spawn(program, client_fiber, NULL);
    fiber_loop_run();
    if (fflush(stdout) != 0)
        queue_client_fail(EX_IOERR, "output write error: %s", strerror(errno));
    config_free(config);
    return session.result;
}

/* --- asking -------------------------------------------------------------------------------------- */

/* Asks, and returns the answer behind its status byte. */
static enum control_status client_ask(struct queue_client *client, enum control_record record, struct slice body,
                                      struct str *reply, int *fd)
{
    if (ipc_call(client->channel, (uint16_t)record, body, -1, reply, fd, deadline_in_s(ANSWER_S)) != IPC_OK)
        queue_client_fail(EX_TEMPFAIL, "the queue did not answer");
    if (reply->len == 0)
        queue_client_fail(EX_PROTOCOL, "malformed answer from the queue");
    return (enum control_status)reply->data[0];
}

static void client_take_listing(struct slice body, listed_handler *handler, void *context)
{
    struct ipc_reader reader = ipc_reader_of(body);
    struct arena *arena = arena_new();
    while (reader.left > 0) {
        struct listed_message message;
        if (!listed_message_decode(&reader, arena, &message))
            queue_client_fail(EX_PROTOCOL, "malformed answer from the queue");
        handler(context, &message);
        arena_reset(arena);
    }
    arena_free(arena);
}

void queue_client_list(struct queue_client *client, listed_handler *handler, void *context)
{
    uint32_t cursor = 0;
    if (client->channel == NULL) {
        queue_offline_list(client->config, handler, context);
        return;
    }
    do {
        struct str body = STR_EMPTY, reply;
        ipc_put_u32(&body, cursor);
        if (client_ask(client, CONTROL_LIST, str_slice(&body), &reply, NULL) == CONTROL_DENIED)
            queue_client_fail(EX_NOPERM, "User %ld is not allowed to view the mail queue", (long)getuid());
        struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
        (void)ipc_get_u8(&reader);
        cursor = ipc_get_u32(&reader);
        client_take_listing(slice_skip(str_slice(&reply), 5), handler, context);
        str_free(&reply);
        str_free(&body);
    } while (cursor != 0);
}

enum control_status queue_client_flush(struct queue_client *client, enum control_record what, const char *text)
{
    struct str body = STR_EMPTY, reply;
    if (text != NULL)
        ipc_put_text(&body, text);
    enum control_status status = client_ask(client, what, str_slice(&body), &reply, NULL);
    str_free(&reply);
    str_free(&body);
    return status;
}

unsigned queue_client_change(struct queue_client *client, const struct control_change *change,
                             changed_handler *changed)
{
    if (client->channel == NULL)
        return queue_offline_change(client->config, change, changed);
    struct arena *arena = arena_new();
    struct str body = STR_EMPTY, reply;
    control_change_encode(change, &body);
    if (client_ask(client, CONTROL_CHANGE, str_slice(&body), &reply, NULL) == CONTROL_DENIED)
        queue_client_fail(EX_NOPERM, "use of this command is reserved for the superuser");
    struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
    (void)ipc_get_u8(&reader);
    unsigned count = ipc_get_u32(&reader);
    for (unsigned i = 0; i < count && !reader.failed; i++)
        changed(change, ipc_get_text(&reader, arena));
    str_free(&reply);
    str_free(&body);
    arena_free(arena);
    return count;
}

bool queue_client_read(struct queue_client *client, const char *queue_id, struct arena *arena,
                       struct control_content *content, int *fd)
{
    if (client->channel == NULL)
        return queue_offline_read(client->config, queue_id, arena, content, fd);
    struct str body = STR_EMPTY, reply;
    ipc_put_text(&body, queue_id);
    enum control_status status = client_ask(client, CONTROL_READ, str_slice(&body), &reply, fd);
    str_free(&body);
    if (status == CONTROL_DENIED)
        queue_client_fail(EX_NOPERM, "use of this command is reserved for the superuser");
    struct slice answer = slice_range(arena_strndup(arena, reply.data, reply.len), reply.len);
    struct ipc_reader reader = ipc_reader_of(slice_skip(answer, 1));
    str_free(&reply);
    return status == CONTROL_OK && control_content_decode(&reader, arena, content);
}
