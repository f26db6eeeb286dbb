/* SPDX-License-Identifier: ISC */
/*
 * listener: accepts clients in batches, one fiber a listening socket, one fiber a client. Out of
 * descriptors it waits instead of spinning. Holds RIGHT_ACCEPT.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/access/policy_service.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role.h"
#include "common/service/limits.h"
#include "common/service/postscreen.h"
#include "common/service/proxy_read.h"
#include "common/service/service.h"

#define ACCEPT_BATCH 64
#define DESCRIPTOR_RESERVE 64 /* channels, log, spool files */
#define COMPLAINT_INTERVAL_MS 10000
#define WARNING_INTERVAL_MS 1000000

struct connection {
    int fd;
    char address[INET6_ADDRSTRLEN];
    char port[8];
    struct smtpd_client client;
    bool is_proxied;           /* the PROXY header says where it came to */
    struct proxy_header proxy;
};

static struct {
    struct fiber **fibers;
    size_t fiber_count;
    size_t sessions, session_limit;
    bool draining, stressed;
    int64_t complained_ms, warned_ms; /* 0: never */
} state;

static void finish(void)
{
    limits_finish();
    role_finished();
}

/* --- one client ------------------------------------------------------------------------------- */

/* How much of the limit is used: of the sessions that may be, or that postscreen may let through. */
static bool is_beyond(unsigned tenths)
{
    size_t limit = smtpd.behind_postscreen && smtpd.session_limit > 0 ? smtpd.session_limit : state.session_limit;
    size_t sessions = smtpd.behind_postscreen && smtpd.session_limit > 0 ? smtpd.sessions : state.sessions;
    return sessions * 10 >= limit * tenths;
}

/* The words are master(8)'s, which says them once in a thousand seconds. */
static void warn_of_stress(void)
{
    if (state.warned_ms != 0 && clock_ms() - state.warned_ms < WARNING_INTERVAL_MS)
        return;
    state.warned_ms = clock_ms();
    log_warning_as("master", "service \"%s\" (%s) has reached its process limit \"%zu\": new clients may experience noticeable delays",
                   smtpd.service, smtpd.service, state.session_limit);
    log_warning_as("master", "to avoid this condition, increase the process count in master.cf or reduce the service time per client");
    log_warning_as("master", "see https://www.postfix.org/STRESS_README.html for examples of stress-adapting configuration settings");
}

/* Under stress from nine tenths of what may be; calm again below seven. */
static void watch_stress(void)
{
    bool stressed = is_beyond(state.stressed ? 7 : 9);
    if (stressed == state.stressed)
        return;
    state.stressed = stressed;
    smtp_server_set_stress(&smtpd.server, stressed);
    if (stressed)
        warn_of_stress();
}

/* False: who is there cannot be told. */
static bool ask_proxy(struct connection *connection, const char *component, int64_t timeout_s)
{
    struct fiber_fd handle;
    fiber_fd_init(&handle, connection->fd);
    connection->is_proxied = proxy_read(&handle, component, timeout_s, smtpd.uses_ipv4, smtpd.uses_ipv6, &connection->proxy);
    connection->fd = fiber_fd_detach(&handle);
    if (!connection->is_proxied)
        return false;
    if (connection->proxy.is_local)
        connection->is_proxied = false;
    else {
        memcpy(connection->address, connection->proxy.client_address, sizeof connection->address);
        memcpy(connection->port, connection->proxy.client_port, sizeof connection->port);
    }
    return true;
}

/* False: postscreen said no, and the connection is closed. */
static bool is_admitted(struct connection *connection)
{
    static const char sorry[] = "421 4.3.2 No system resources\r\n";
    char address[SMTP_ADDRESS_SIZE], port[SMTP_PORT_SIZE];
    struct postscreen_peer peer = {connection->address, connection->port, address, port};
    int64_t timeout_s;
    if (postscreen_is_behind_proxy(&timeout_s) && !ask_proxy(connection, "postscreen", timeout_s)) {
        if (send(connection->fd, sorry, sizeof sorry - 1, MSG_NOSIGNAL) < 0) /* best effort */
            log_debug("send: %m");
        close(connection->fd);
        return false;
    }
    if (connection->is_proxied) {
        peer.server_address = connection->proxy.server_address;
        peer.server_port = connection->proxy.server_port;
    } else
        smtp_local_endpoint(connection->fd, address, port);
    return postscreen_admits(connection->fd, &peer);
}

static void serve(struct connection *connection)
{
    if (smtpd.behind_postscreen && !is_admitted(connection))
        return;
    bool asks_proxy = smtpd.behind_proxy && !smtpd.behind_postscreen;
    bool is_known = !asks_proxy || ask_proxy(connection, "smtpd", smtpd.proxy_timeout);
    client_name_lookup(&connection->client, connection->address);
    struct smtp_session *session = smtp_session_new(&smtpd.server, connection->fd, connection->client.name, connection->address,
                                                    connection->port, &connection->client);
    if (connection->is_proxied)
        smtp_session_set_server(session, connection->proxy.server_address, connection->proxy.server_port);
    if (smtpd.behind_postscreen)
        session->flags |= SESSION_SCREENED;
    if (!is_known)
        session->denied = mem_printf("421 4.3.0 %s Server local error", smtpd.server.my_hostname);
    smtpd.sessions++;
    watch_stress();
    smtp_session_run(session);
    smtpd.sessions--;
    client_name_forget(&connection->client);
}

static void session_fiber(void *arg)
{
    struct connection *connection = arg;
    serve(connection);
    free(connection);
    state.sessions--;
    watch_stress();
    if (state.draining && state.sessions == 0)
        finish();
}

/* IPv4 that came through an IPv6 socket is shown as IPv4, as Postfix does. */
static void describe_peer(const struct sockaddr_storage *peer, struct connection *connection)
{
    unsigned port = 0;
    memcpy(connection->address, "unknown", 8);
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)peer;
        inet_ntop(AF_INET, &ipv4->sin_addr, connection->address, sizeof connection->address);
        port = ntohs(ipv4->sin_port);
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)peer;
        if (IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr))
            inet_ntop(AF_INET, &ipv6->sin6_addr.s6_addr[12], connection->address, sizeof connection->address);
        else
            inet_ntop(AF_INET6, &ipv6->sin6_addr, connection->address, sizeof connection->address);
        port = ntohs(ipv6->sin6_port);
    }
    snprintf(connection->port, sizeof connection->port, "%u", port);
}

static void start_session(int fd, const struct sockaddr_storage *peer)
{
    struct connection *connection = mem_alloc(sizeof *connection);
    int on = 1;
    connection->fd = fd;
    describe_peer(peer, connection);
    /* Replies leave when they are complete; a UNIX-domain listener knows no such option. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 && errno != EOPNOTSUPP && errno != ENOPROTOOPT)
        log_warning("setsockopt TCP_NODELAY: %m");
    state.sessions++;
    watch_stress();
    fiber_spawn("session", session_fiber, connection);
}

/* --- accepting ------------------------------------------------------------------------------------ */

/* It goes on for as long as the shortage does: said once in a while. */
static void complain(void)
{
    if (state.complained_ms != 0 && clock_ms() - state.complained_ms < COMPLAINT_INTERVAL_MS)
        return;
    log_warning("accept connection: %m");
    state.complained_ms = clock_ms();
}

/* How many were taken; -1: no descriptor is free. */
static int accept_batch(int listener)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            start_session(fd, &peer);
            continue;
        }
        if (errno == EAGAIN)
            return i;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            complain();
            return -1;
        }
        /* What else accept(2) reports concerns a connection that is gone already. */
    }
    return ACCEPT_BATCH;
}

static void listener_fiber(void *arg)
{
    struct fiber_fd *handle = arg;
    enum wait_status status = WAIT_OK;
    while (!state.draining && status == WAIT_OK) {
        int taken = state.sessions < state.session_limit ? accept_batch(handle->fd) : -1;
        if (taken < 0)
            status = fiber_sleep_until(deadline_in_ms(100));
        else if (taken == ACCEPT_BATCH)
            status = fiber_yield();
        else
            status = fiber_wait_fd(handle, FIBER_READ, CLOCK_NEVER);
    }
    fiber_fd_close(handle);
    free(handle);
}

void listener_start(const int *fds, size_t count)
{
    struct rlimit limit;
    /* Some stay for spool files: a descriptor that cannot be received is a violation of its channel. */
    state.session_limit = 1024;
    smtpd.spool_limit = 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 2 * DESCRIPTOR_RESERVE) {
        smtpd.spool_limit = limit.rlim_cur / 6;
        state.session_limit = limit.rlim_cur - smtpd.spool_limit - DESCRIPTOR_RESERVE;
        if (state.session_limit > 2 * policy_connection_limit())
            state.session_limit -= policy_connection_limit();
        if (smtpd.server.is_filtered) /* each has a connection of its own to the filter */
            state.session_limit /= 2;
    }
    if (smtpd.session_limit > 0 && smtpd.session_limit < state.session_limit && !smtpd.behind_postscreen)
        state.session_limit = smtpd.session_limit;
    state.fibers = mem_alloc_array(count + 1, sizeof *state.fibers);
    state.fiber_count = count;
    for (size_t i = 0; i < count; i++) {
        struct fiber_fd *handle = mem_alloc(sizeof *handle);
        fiber_fd_init(handle, fds[i]);
        state.fibers[i] = fiber_spawn("listener", listener_fiber, handle);
    }
}

void listener_drain(void)
{
    if (state.draining)
        return;
    state.draining = true;
    for (size_t i = 0; i < state.fiber_count; i++)
        fiber_cancel(state.fibers[i]);
    if (state.sessions == 0)
        finish();
}
