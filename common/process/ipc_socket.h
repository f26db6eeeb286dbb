/* SPDX-License-Identifier: ISC */
/* Packets with at most one descriptor on a SOCK_SEQPACKET socket. Used by ipc.c, and by helper processes of a role. */
#ifndef POSTHORN_PROCESS_IPC_SOCKET_H
#define POSTHORN_PROCESS_IPC_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/base/status.h"

#define IPC_PACKET_SIZE 65536

enum ipc_arrival {
    IPC_ARRIVED,
    IPC_NONE,     /* not now */
    IPC_END,      /* the peer is gone */
    IPC_TOO_MUCH, /* longer than IPC_PACKET_SIZE, or with more than one descriptor */
    IPC_ARRIVED_WITHOUT, /* its descriptor is lost: this process has none free */
};

/* Room for one descriptor beside a message. */
union ipc_control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

/* The message carries this descriptor, too; control must live as long as the message. */
void ipc_message_attach(struct msghdr *message, union ipc_control *control, int passed);

/* One attempt. passed is a descriptor, or -1. False when the socket takes nothing now; a peer that is gone takes all. */
bool ipc_socket_send(int socket, const char *data, size_t len, int passed) MUST_CHECK;
/* One attempt. *passed is the caller's: -1 when none came. */
enum ipc_arrival ipc_socket_receive(int socket, char data[IPC_PACKET_SIZE], size_t *len, int *passed) MUST_CHECK;

#endif
