/* SPDX-License-Identifier: ISC */
/*
 * ipc_socket: sendmsg() and recvmsg() of packets that may carry a descriptor. Called by ipc.c in every role. What arrives
 * may be a compromised peer's: no descriptor that was sent stays open unless it is given to the caller.
 */
#include "common/process/ipc_socket.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

void ipc_message_attach(struct msghdr *message, union ipc_control *control, int passed)
{
    memset(control, 0, sizeof *control);
    message->msg_control = control->space;
    message->msg_controllen = sizeof control->space;
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &passed, sizeof passed);
}

bool ipc_socket_send(int socket, const char *data, size_t len, int passed)
{
    union ipc_control control;
    struct iovec piece = {(void *)(uintptr_t)data, len};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (passed >= 0)
        ipc_message_attach(&message, &control, passed);
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    /* A peer that is gone is seen by who receives. */
    return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

/* Two descriptors fit where one is expected (alignment): all but the first are closed here, and counted. */
static int received_descriptor(struct msghdr *message, unsigned *count)
{
    int first = -1;
    *count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, (char *)part + at, sizeof fd);
            if ((*count)++ == 0)
                first = fd;
            else
                close(fd);
        }
    }
    return first;
}

static enum ipc_arrival judge(ssize_t len, unsigned count, int flags)
{
    if (len == 0)
        return IPC_END;
    if ((flags & MSG_TRUNC) != 0 || count > 1 || (count == 1 && (flags & MSG_CTRUNC) != 0))
        return IPC_TOO_MUCH;
    return (flags & MSG_CTRUNC) != 0 ? IPC_ARRIVED_WITHOUT : IPC_ARRIVED;
}

enum ipc_arrival ipc_socket_receive(int socket, char data[IPC_PACKET_SIZE], size_t *len, int *passed)
{
    union ipc_control control;
    struct iovec piece = {data, IPC_PACKET_SIZE};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    unsigned count = 0;
    message.msg_control = control.space;
    message.msg_controllen = sizeof control.space;
    ssize_t got;
    *passed = -1;
    *len = 0;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? IPC_NONE : IPC_END;
    *passed = received_descriptor(&message, &count);
    *len = (size_t)got;
    enum ipc_arrival arrival = judge(got, count, message.msg_flags);
    if (*passed >= 0 && arrival != IPC_ARRIVED) {
        close(*passed);
        *passed = -1;
    }
    return arrival;
}
