/* SPDX-License-Identifier: ISC */
/*
 * cyrus_spawner: a small process that has loaded Cyrus SASL once and forks workers from there, because auth itself may not
 * fork any more and a worker may hang in somebody else's library for ever. Does what its three questions say, runs as
 * auth's user, and ends all workers when auth is gone.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/cyrus.h"
#include "common/base/mem.h"
#include "common/process/helper.h"
#include "common/process/ipc_codec.h"
#include "common/process/ipc_socket.h"

#define CHILD_LIMIT 256

static pid_t children[CHILD_LIMIT];
static size_t child_count;
static struct timespec read_at; /* the configuration file's stamp */

static struct timespec stamp_of(const struct cyrus_setup *setup)
{
    struct stat info;
    if (setup->file == NULL || stat(setup->file, &info) != 0)
        return (struct timespec){0, 0};
    return info.st_mtim;
}

/* A pid is another process's as soon as it was waited for: only from this list may one be killed. */
static void reap(void)
{
    for (size_t i = 0; i < child_count;) {
        pid_t ended = waitpid(children[i], NULL, WNOHANG);
        if (ended == children[i] || (ended < 0 && errno == ECHILD))
            children[i] = children[--child_count];
        else
            i++;
    }
}

static void end_child(int64_t pid)
{
    reap();
    for (size_t i = 0; i < child_count; i++)
        if (children[i] == (pid_t)pid)
            (void)kill(children[i], SIGKILL);
}

static void end_all(void)
{
    reap();
    for (size_t i = 0; i < child_count; i++)
        (void)kill(children[i], SIGKILL);
}

static void answer(int socket, int64_t number, int fd)
{
    union ipc_control control;
    struct str body = STR_EMPTY;
    ipc_put_i64(&body, number);
    struct iovec piece = {body.data, body.len};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd >= 0)
        ipc_message_attach(&message, &control, fd);
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
        end_all(); /* auth is gone */
        _exit(0);
    }
    str_free(&body);
}

static void start_worker(int socket, const struct cyrus_setup *setup)
{
    int fds[2];
    reap();
    if (child_count == CHILD_LIMIT || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        answer(socket, -1, -1);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(socket);
        close(fds[0]);
        role_helper_confine_child("auth-worker", setup->rights);
        cyrus_worker_run(fds[1]);
        _exit(0);
    }
    close(fds[1]);
    if (pid > 0)
        children[child_count++] = pid;
    answer(socket, pid, pid > 0 ? fds[0] : -1);
    close(fds[0]);
}

void cyrus_spawner_run(int socket, void *context)
{
    const struct cyrus_setup *setup = context;
    char packet[64];
    read_at = stamp_of(setup);
    for (;;) {
        ssize_t len = recv(socket, packet, sizeof packet, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            break;
        struct ipc_reader reader = ipc_reader_of(slice_range(packet, (size_t)len));
        uint8_t question = ipc_get_u8(&reader);
        if (question == SPAWNER_START)
            start_worker(socket, setup);
        else if (question == SPAWNER_KILL)
            end_child(ipc_get_i64(&reader));
        else if (question == SPAWNER_CHANGED) {
            struct timespec now = stamp_of(setup);
            answer(socket, now.tv_sec != read_at.tv_sec || now.tv_nsec != read_at.tv_nsec, -1);
        }
    }
    end_all();
}
