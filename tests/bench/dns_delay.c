/* SPDX-License-Identifier: ISC */
/*
 * dns_delay: a name server for measurements: answers every question over UDP after the same time. Made-up data: every
 * address 10.a.b.c has the name c-10-a-b-c.test, which has that address; every name below "bl" is NXDOMAIN; every other
 * name has an SPF record that permits 10.0.0.0/8. Usage: dns_delay ADDRESS MILLISECONDS; it counts on standard output
 * when it gets SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROOM 65536 /* answers that wait; more are dropped */
#define MAX_SIZE 512

struct waiting {
    int64_t due_us;
    struct sockaddr_in peer;
    size_t len;
    unsigned char data[MAX_SIZE];
};

static struct waiting *queue;
static size_t first, last; /* a ring */
static volatile sig_atomic_t ended;
static unsigned long answered;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The labels of the question as text, lower case; the length of the question section's first entry, or 0. */
static size_t read_question(const unsigned char *data, size_t len, char *name, size_t size, unsigned *type)
{
    size_t at = 12, to = 0;
    while (at < len && data[at] != 0) {
        size_t label = data[at++];
        if (label > 63 || at + label >= len || to + label + 2 > size)
            return 0;
        for (size_t i = 0; i < label; i++)
            name[to++] = (char)(data[at + i] | ((data[at + i] >= 'A' && data[at + i] <= 'Z') ? 32 : 0));
        name[to++] = '.';
        at += label;
    }
    name[to > 0 ? to - 1 : 0] = '\0';
    if (at + 5 > len)
        return 0;
    *type = (unsigned)(data[at + 1] << 8 | data[at + 2]);
    return at + 5 - 12;
}

static size_t put_record(unsigned char *out, unsigned type, const void *data, size_t len)
{
    const unsigned char head[] = {0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0, 1, 44, (unsigned char)(len >> 8), (unsigned char)len};
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, data, len);
    return sizeof head + len;
}

/* The data of the one record there is; 0: none. */
static size_t make_data(const char *name, unsigned type, unsigned char *data)
{
    static const char spf[] = "v=spf1 ip4:10.0.0.0/8 -all";
    unsigned a[4];
    if (type == 12 && sscanf(name, "%3u.%3u.%3u.%3u.in-addr", &a[3], &a[2], &a[1], &a[0]) == 4) {
        int len = snprintf((char *)data + 1, 63, "c-%u-%u-%u-%u", a[0], a[1], a[2], a[3]);
        data[0] = (unsigned char)len;
        memcpy(data + 1 + len, "\4test", 6);
        return (size_t)len + 7;
    }
    if (type == 1 && sscanf(name, "c-%3u-%3u-%3u-%3u.", &a[0], &a[1], &a[2], &a[3]) == 4) {
        for (unsigned i = 0; i < 4; i++)
            data[i] = (unsigned char)a[i];
        return 4;
    }
    if (type == 16) {
        data[0] = sizeof spf - 1;
        memcpy(data + 1, spf, sizeof spf - 1);
        return sizeof spf;
    }
    return 0;
}

static void answer(struct waiting *item)
{
    char name[256];
    unsigned char data[128];
    unsigned type;
    size_t question = read_question(item->data, item->len, name, sizeof name, &type);
    if (question == 0)
        return;
    size_t len = strstr(name, ".bl") != NULL ? 0 : make_data(name, type, data);
    item->data[2] = 0x81;
    item->data[3] = (unsigned char)(0x80 | (strstr(name, ".bl") != NULL ? 3 : 0));
    memset(item->data + 6, 0, 6);
    item->data[7] = len > 0;
    item->len = 12 + question;
    if (len > 0)
        item->len += put_record(item->data + item->len, type, data, len);
}

static void receive(int fd, int64_t delay_us)
{
    for (;;) {
        struct waiting *item = &queue[last % ROOM];
        socklen_t size = sizeof item->peer;
        ssize_t len = recvfrom(fd, item->data, MAX_SIZE - 128, MSG_DONTWAIT, (struct sockaddr *)&item->peer, &size);
        if (len < 17)
            return;
        item->len = (size_t)len;
        item->due_us = now_us() + delay_us;
        if (last - first < ROOM - 1)
            last++;
    }
}

/* Sends what is due; returns how long to wait, in milliseconds. */
static int send_due(int fd)
{
    while (first != last) {
        struct waiting *item = &queue[first % ROOM];
        int64_t left = item->due_us - now_us();
        if (left > 0)
            return (int)((left + 999) / 1000);
        answer(item);
        if (sendto(fd, item->data, item->len, 0, (struct sockaddr *)&item->peer, sizeof item->peer) >= 0)
            answered++;
        first++;
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int size = 8 * 1024 * 1024, fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sigaction action = {.sa_handler = on_end};
    if (argc != 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 || fd < 0)
        return 64;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size); /* nothing is lost here */
    queue = calloc(ROOM, sizeof *queue);
    if (queue == NULL || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("dns_delay");
        return 1;
    }
    sigaction(SIGTERM, &action, NULL);
    while (!ended) {
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, send_due(fd)) < 0 && errno != EINTR)
            return 1;
        receive(fd, atoi(argv[2]) * 1000);
    }
    printf("%lu\n", answered);
    return 0;
}
