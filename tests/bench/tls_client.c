/* SPDX-License-Identifier: ISC */
/*
 * tls_client: STARTTLS handshakes as fast as a server makes them, or many encrypted sessions that do nothing.
 * Usage: tls_client rate PORT SECONDS PROCESSES CIPHER full|resumed
 *        tls_client idle PORT SESSIONS      (opens them, prints "ready", holds them until its input ends)
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail("write");
}

/* A whole reply in the clear. */
static void hear(int fd)
{
    char text[4096];
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0)
            fail("read");
        len += (size_t)n;
        text[len] = '\0';
        const char *last = text, *next;
        while ((next = strchr(last, '\n')) != NULL && next[1] != '\0')
            last = next + 1;
        if (text[len - 1] == '\n' && last[3] == ' ')
            return;
    }
}

static SSL *start(SSL_CTX *context, int port, SSL_SESSION *session)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    hear(fd);
    say(fd, "EHLO bench.test\r\n");
    hear(fd);
    say(fd, "STARTTLS\r\n");
    hear(fd);
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || (session != NULL && SSL_set_session(ssl, session) != 1) || SSL_connect(ssl) != 1) {
        fprintf(stderr, "handshake failed\n");
        exit(1);
    }
    return ssl;
}

static void ask(SSL *ssl, const char *command)
{
    char text[4096];
    if (SSL_write(ssl, command, (int)strlen(command)) <= 0 || SSL_read(ssl, text, sizeof text) <= 0)
        fail("command");
}

static void end(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    (void)SSL_shutdown(ssl); /* a session that ends without it counts as broken */
    SSL_free(ssl);
    close(fd);
}

static long run(SSL_CTX *context, int port, double seconds, int resumed)
{
    long count = 0;
    SSL_SESSION *session = NULL;
    double until = now() + seconds;
    while (now() < until) {
        SSL *ssl = start(context, port, session);
        ask(ssl, "QUIT\r\n");
        if (resumed && session == NULL)
            session = SSL_get1_session(ssl);
        else if (resumed && !SSL_session_reused(ssl)) {
            fprintf(stderr, "not resumed\n");
            exit(1);
        } else
            count++;
        end(ssl);
    }
    return count;
}

static int rate(SSL_CTX *context, char **argv)
{
    int port = atoi(argv[2]), processes = atoi(argv[4]), ends[2];
    double seconds = atof(argv[3]);
    long total = 0, count;
    if (pipe(ends) < 0)
        fail("pipe");
    for (int i = 0; i < processes; i++)
        if (fork() == 0) {
            count = run(context, port, seconds, strcmp(argv[6], "resumed") == 0);
            _exit(write(ends[1], &count, sizeof count) == sizeof count ? 0 : 1);
        }
    close(ends[1]);
    for (int i = 0; i < processes; i++) {
        int status;
        if (read(ends[0], &count, sizeof count) != sizeof count)
            fail("a client ended early");
        wait(&status);
        total += count;
    }
    printf("%.0f\n", (double)total / seconds);
    return 0;
}

static int idle(SSL_CTX *context, char **argv)
{
    for (int i = 0; i < atoi(argv[3]); i++)
        ask(start(context, atoi(argv[2]), NULL), "EHLO bench.test\r\n");
    printf("ready\n");
    fflush(stdout);
    (void)getchar();
    return 0;
}

int main(int argc, char **argv)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (argc == 4 && strcmp(argv[1], "idle") == 0)
        return idle(context, argv);
    if (argc != 7 || strcmp(argv[1], "rate") != 0)
        return 2;
    /* Resumption is measured in TLS 1.2, where the ticket comes within the handshake. */
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    if (SSL_CTX_set_cipher_list(context, argv[5]) != 1)
        return 2;
    return rate(context, argv);
}
