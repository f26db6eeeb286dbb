/* SPDX-License-Identifier: ISC */
/*
 * smtp_clients: many SMTP clients, each from an address of its own in 10.0.0.0/8 with a sender domain of its own: HELO, MAIL,
 * RCPT as often as asked, QUIT. Usage: smtp_clients ADDRESS PORT CONCURRENT SESSIONS RCPTS FIRST RECIPIENT. FIRST is the number of
 * the first client, so that no run repeats another's names. Prints seconds, how many RCPT were answered with 2xx, how many otherwise, and how many connections
 * were begun again because no greeting came for five seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd;
    unsigned number, step;
    time_t since;
    size_t len;
    char line[1024];
};

static struct sockaddr_in server;
static unsigned sessions, rcpts, first_number, started, done;
static unsigned long accepted, failed, retries;
static const char *recipient;
static int poller;

static void start(struct client *client)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    client->since = time(NULL);
    client->step = 0;
    client->len = 0;
    from.sin_addr.s_addr = htonl(0x0a000000u + 256 + client->number % 0xfff000u);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); /* a full backlog must not stop the others */
    if (client->fd < 0 || bind(client->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(client->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) != 0) {
        perror("smtp_clients: connect");
        exit(1);
    }
}

static void begin(struct client *client)
{
    client->number = first_number + started++;
    start(client);
}

/* A server with a full backlog may forget a connection that the client thinks it has: as a mail server would, try again. */
static void retry_forgotten(struct client *clients, unsigned count)
{
    time_t now = time(NULL);
    for (unsigned i = 0; i < count; i++)
        if (clients[i].fd >= 0 && clients[i].step == 0 && now - clients[i].since > 5) {
            close(clients[i].fd);
            retries++;
            start(&clients[i]);
        }
}

static void finish(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    done++;
    if (started < sessions)
        begin(client);
}

static void say(struct client *client, char code)
{
    char text[256];
    uint32_t address = 0x0a000000u + 256 + client->number % 0xfff000u;
    unsigned step = client->step++;
    int len;
    if (step > 2 && step <= 2 + rcpts) {
        accepted += code == '2';
        failed += code != '2';
    }
    if (step == 0)
        len = snprintf(text, sizeof text, "HELO c-%u-%u-%u-%u.test\r\n", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
    else if (step == 1)
        len = snprintf(text, sizeof text, "MAIL FROM:<user@d%u.test>\r\n", client->number);
    else if (step < 2 + rcpts)
        len = snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", recipient);
    else if (step == 2 + rcpts)
        len = snprintf(text, sizeof text, "QUIT\r\n");
    else
        return finish(client);
    if (write(client->fd, text, (size_t)len) != len)
        finish(client);
}

static void on_input(struct client *client)
{
    ssize_t n = read(client->fd, client->line + client->len, sizeof client->line - client->len);
    if (n <= 0)
        return finish(client);
    client->len += (size_t)n;
    if (client->line[client->len - 1] != '\n')
        return;
    char code = client->line[0];
    client->len = 0;
    say(client, code);
}

int main(int argc, char **argv)
{
    struct timespec start, end;
    if (argc != 8)
        return 64;
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    unsigned concurrent = (unsigned)atoi(argv[3]);
    sessions = (unsigned)atoi(argv[4]);
    rcpts = (unsigned)atoi(argv[5]);
    first_number = (unsigned)atoi(argv[6]);
    recipient = argv[7];
    poller = epoll_create1(0);
    struct client *clients = calloc(concurrent, sizeof *clients);
    for (unsigned i = 0; clients != NULL && i < concurrent; i++)
        clients[i].fd = -1;
    if (poller < 0 || clients == NULL)
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < concurrent && started < sessions; i++)
        begin(&clients[i]);
    time_t last = time(NULL);
    while (done < sessions) {
        struct epoll_event events[256];
        int count = epoll_wait(poller, events, 256, 1000);
        if (time(NULL) != last) {
            last = time(NULL);
            retry_forgotten(clients, concurrent);
        }
        for (int i = 0; i < count; i++)
            on_input(events[i].data.ptr);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.6f %lu %lu %lu\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9, accepted, failed, retries);
    return 0;
}
