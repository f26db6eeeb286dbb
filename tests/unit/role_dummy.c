/* SPDX-License-Identifier: ISC */
/*
 * role_dummy: stands in for any role in tests of the supervisor and the sandbox. It is the role whose name it is run
 * under. As smtpd it accepts connections, greets with its process id, and answers each line: "ask ROLE" asks that
 * peer for its process id, "crash" aborts, "config NAME" tells a parameter's value, "bye" ends the session.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/stream.h"
#include "common/process/role.h"

enum { ASK_PID = 1 };

static struct role me;
static unsigned sessions;

static void on_ask(struct ipc_channel *channel, struct ipc_message *message)
{
    char pid[32];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    ipc_reply(channel, message->id, slice_of(pid), -1);
}

static const struct ipc_rule rules[] = {{ASK_PID, "pid", IPC_REQUEST, false, IPC_ANY_STATE, 0, on_ask}};
static const struct ipc_edge edge = {"dummy", IPC_FROM_ROLE, rules, 1, NULL};

static const struct ipc_edge *dummy_edge(enum role_id peer UNUSED) { return &edge; }

static void ask(struct stream *stream, const char *name)
{
    struct str reply = STR_EMPTY;
    enum role_id role = ROLE_MASTER;
    for (int i = 0; i < ROLE_COUNT; i++)
        if (strcmp(role_name((enum role_id)i), name) == 0)
            role = (enum role_id)i;
    enum ipc_status status =
        role_call(role, NULL, ASK_PID, SLICE(""), &reply, NULL, deadline_in_ms(5000));
    if (status == IPC_OK)
        stream_printf(stream, "250 %s\r\n", str_text(&reply));
    else
        stream_printf(stream, "450 status %d\r\n", (int)status);
    str_free(&reply);
}

static void answer(struct stream *stream, char *line)
{
    if (strncmp(line, "ask ", 4) == 0)
        ask(stream, line + 4);
    else if (strncmp(line, "config ", 7) == 0)
        stream_printf(stream, "250 %s\r\n", config_string(role_config(), line + 7));
    else if (strcmp(line, "crash") == 0)
        log_panic("asked to");
    else
        stream_printf(stream, "250 %s\r\n", line);
}

static void session(void *arg)
{
    struct stream *stream = arg;
    struct slice line;
    bool open = true;
    stream_printf(stream, "220 %ld %s\r\n", (long)getpid(), role_service());
    while (open && stream_flush(stream, deadline_in_s(60)) == IO_OK &&
           stream_read_line(stream, 1000, &line, NULL, deadline_in_s(60)) == IO_OK) {
        char *copy = mem_strndup(line.data, line.len);
        open = strcmp(copy, "bye") != 0;
        if (open)
            answer(stream, copy);
        free(copy);
    }
    stream_close(stream);
    free(stream);
    sessions--;
    if (role_is_draining() && sessions == 0)
        role_finished();
}

static void accept_fiber(void *arg)
{
    struct fiber_fd listener;
    fiber_fd_init(&listener, (int)(intptr_t)arg);
    while (!role_is_draining()) {
        int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (fiber_wait_fd(&listener, FIBER_READ, deadline_in_ms(20)) == WAIT_CANCELLED)
                return;
            continue;
        }
        struct stream *stream = mem_alloc(sizeof *stream);
        stream_init(stream, fd);
        sessions++;
        fiber_spawn("session", session, stream);
    }
    fiber_fd_close(&listener);
}

static void start(const struct role_start *begin)
{
    for (size_t i = 0; me.id == ROLE_SMTPD && i < begin->listener_count; i++)
        fiber_spawn("accept", accept_fiber, (void *)(intptr_t)begin->listeners[i]);
    log_info("started %s", begin->service);
}

static void drain(void)
{
    while (sessions > 0 && !role_is_stopping())
        if (fiber_sleep_until(deadline_in_ms(50)) != WAIT_OK)
            return;
    role_finished();
}

static void reload(const struct config *config)
{
    log_info("reloaded, smtpd_banner %s", config_string(config, "smtpd_banner"));
}

static const char *const *directories(const struct role_start *begin)
{
    static const char *list[3];
    list[0] = config_string(begin->config, "queue_directory");
    return list;
}

int main(int argc, char **argv)
{
    static const struct {
        enum role_id id;
        unsigned rights;
        bool empty_root;
    } kinds[] = {
        {ROLE_SMTPD, RIGHT_ACCEPT, true},
        {ROLE_QUEUE, RIGHT_ACCEPT | RIGHT_WRITE_FILES | RIGHT_THREADS | RIGHT_PASS_FD, false},
        {ROLE_LMTP, 0, true},
        {ROLE_VIRTUAL, RIGHT_READ_FILES | RIGHT_WRITE_FILES | RIGHT_SET_IDS, false},
        {ROLE_LOOKUP, RIGHT_READ_FILES | RIGHT_CONNECT_UNIX | RIGHT_CONNECT_INET | RIGHT_THREADS, false},
        {ROLE_RESOLVER, RIGHT_CONNECT_INET, true},
        {ROLE_STATE, RIGHT_READ_FILES | RIGHT_WRITE_FILES, false},
    };
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash != NULL ? slash + 1 : argv[0];
    me = (struct role){.max_open_files = 4096, .start = start, .edge = dummy_edge, .drain = drain};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(role_name(kinds[i].id), name) == 0) {
            me.id = kinds[i].id;
            me.rights = kinds[i].rights;
            me.wants_empty_root = kinds[i].empty_root;
        }
    if ((me.rights & (RIGHT_READ_FILES | RIGHT_WRITE_FILES)) && me.id != ROLE_STATE)
        me.directories = directories;
    if (me.id == ROLE_QUEUE)
        me.reload = reload;
    return role_main(&me, argc, argv);
}
