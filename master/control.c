/* SPDX-License-Identifier: ISC */
/*
 * control: the socket pid/control, through which "postfix" and "posthorn" ask the supervisor for something. One
 * line with one word and its arguments in, text out, end of connection. Only root and the supervisor's own user may connect,
 * and that is checked twice: by the socket's mode and by the peer's credentials.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/stream.h"
#include "common/process/ipc.h"
#include "common/process/master_protocol.h"
#include "master/supervisor.h"

#define CONTROL_PATH "pid/control"
#define LINE_LIMIT 12288 /* of "explain"; other words are short */
#define ANSWER_MS 10000

/* --- answers --------------------------------------------------------------------------------- */

static const char *state_of(const struct process *process)
{
    if (process->draining)
        return "draining";
    return process->ready ? "serving" : "starting";
}

static void answer_status(struct stream *stream, struct slice arguments UNUSED)
{
    const struct process *process;
    const struct slot *slot;
    stream_printf(stream, "master %ld serving uptime=%lld reloads=%u configuration=%s\n", (long)getpid(),
                  (long long)((wall_us() - supervisor.started_at) / 1000000), supervisor.reloads,
                  supervisor.config_directory);
    TAILQ_FOREACH (process, &supervisor.processes, link)
        stream_printf(stream, "%s %ld %s service=%s restarts=%u\n", role_name(process->role), (long)process->pid,
                      state_of(process), process->service, process->slot != NULL ? process->slot->restarts : 0);
    TAILQ_FOREACH (slot, &supervisor.slots, link)
        if (slot->current == NULL)
            stream_printf(stream, "%s - waiting service=%s restarts=%u\n", role_name(slot->role), slot->service,
                          slot->restarts);
}

static void print_probe(struct stream *stream, const struct process *process, struct slice body)
{
    struct arena *arena = arena_new();
    struct probe_result *results;
    size_t count;
    if (!probe_results_decode(body, arena, &results, &count))
        count = 0;
    for (size_t i = 0; i < count; i++)
        stream_printf(stream, "%s\t%ld\t%s\t%s\n", role_name(process->role), (long)process->pid, results[i].what,
                      results[i].error == 0 ? "ALLOWED" : strerror((int)results[i].error));
    arena_free(arena);
}

static struct process *process_of_pid_after(pid_t pid)
{
    struct process *process, *next = NULL;
    TAILQ_FOREACH (process, &supervisor.processes, link)
        if (process->pid > pid && (next == NULL || process->pid < next->pid))
            next = process;
    return next;
}

static void answer_probe(struct stream *stream, struct slice arguments UNUSED)
{
    struct process *process;
    pid_t pid = 0; /* by pid, since the list may change while an answer is awaited */
    while ((process = process_of_pid_after(pid)) != NULL) {
        struct str reply = STR_EMPTY;
        pid = process->pid;
        if (process->channel == NULL || !process->ready)
            continue;
        enum ipc_status status = ipc_call(process->channel, MASTER_PROBE, SLICE(""), -1, &reply, NULL,
                                          deadline_in_ms(ANSWER_MS));
        process = process_of_pid_after(pid - 1);
        if (status == IPC_OK && process != NULL && process->pid == pid)
            print_probe(stream, process, str_slice(&reply));
        else
            stream_printf(stream, "error: process %ld did not answer\n", (long)pid);
        str_free(&reply);
    }
}

static void answer_reload(struct stream *stream, struct slice arguments UNUSED)
{
    struct config_problems problems = {NULL, 0};
    if (supervisor.stopping) {
        stream_printf(stream, "error: the mail system is stopping\n");
        return;
    }
    bool works = supervisor_reload(&problems);
    for (size_t i = 0; !works && i < problems.count; i++)
        if (problems.list[i].fatal)
            stream_printf(stream, "error: %s\n", problems.list[i].text);
    config_problems_free(&problems);
    int64_t deadline = deadline_in_ms(ANSWER_MS);
    while (works && !supervise_all_ready() && clock_ms() < deadline)
        if (fiber_sleep_until(deadline_in_ms(5)) != WAIT_OK)
            return;
    if (works)
        stream_printf(stream, supervise_all_ready() ? "ok\n" : "error: not every process serves yet: see the log\n");
}

static void answer_stop(struct stream *stream, struct slice arguments UNUSED)
{
    stream_printf(stream, "ok\n");
    supervisor_stop(true);
}

static void answer_logrotate(struct stream *stream, struct slice arguments UNUSED)
{
    master_log_reopen();
    stream_printf(stream, "ok\n");
}

static void answer_explain(struct stream *stream, struct slice arguments)
{
    struct str answer = STR_EMPTY;
    explain_answer_control(arguments, &answer);
    stream_put(stream, str_slice(&answer));
    str_free(&answer);
}

static const struct {
    const char *word;
    void (*answer)(struct stream *stream, struct slice arguments);
} answers[] = {
    {"status", answer_status}, {"probe", answer_probe},         {"reload", answer_reload},
    {"stop", answer_stop},     {"logrotate", answer_logrotate}, {"explain", answer_explain},
};

/* --- connections ------------------------------------------------------------------------------- */

static bool may_control(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void control_session(void *arg)
{
    struct stream *stream = arg;
    struct slice line, word = SLICE("");
    int64_t deadline = deadline_in_ms(ANSWER_MS);
    if (stream_read_line(stream, LINE_LIMIT, &line, NULL, deadline) == IO_OK) {
        slice_next_token(&line, " ", &word);
        size_t i = 0, count = sizeof answers / sizeof answers[0];
        while (i < count && !slice_equal(word, slice_of(answers[i].word)))
            i++;
        if (i < count)
            answers[i].answer(stream, line);
        else
            stream_printf(stream, "error: unknown command\n");
        if (stream_flush(stream, deadline_in_ms(ANSWER_MS)) != IO_OK)
            log_warning("control: the answer was not read");
    }
    stream_close(stream);
    free(stream);
}

static void control_accept_fiber(void *arg)
{
    struct fiber_fd listener;
    fiber_fd_init(&listener, (int)(intptr_t)arg);
    for (;;) {
        int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && may_control(fd)) {
            struct stream *stream = mem_alloc(sizeof *stream);
            stream_init(stream, fd);
            fiber_spawn("control", control_session, stream);
        } else if (fd >= 0)
            close(fd);
        else if (errno == EAGAIN) {
            if (fiber_wait_fd(&listener, FIBER_READ, CLOCK_NEVER) != WAIT_OK)
                return;
        } else if (fiber_sleep_until(deadline_in_ms(100)) != WAIT_OK) /* out of descriptors, for example */
            return;
    }
}

void control_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = CONTROL_PATH};
    mode_t mask = umask(0177);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool works = fd >= 0 && (unlink(CONTROL_PATH) == 0 || errno == ENOENT) &&
                 bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0;
    umask(mask);
    if (!works)
        log_fatal("listen on %s: %s", CONTROL_PATH, strerror(errno));
    fiber_spawn("control-accept", control_accept_fiber, (void *)(intptr_t)fd);
}
