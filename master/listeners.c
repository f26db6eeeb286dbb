/* SPDX-License-Identifier: ISC */
/*
 * listeners: opens, keeps and closes listening sockets. Called by the supervisor while it is root, so that no role
 * ever needs a privileged port. Asks the resolver for names in inet_interfaces; parses nothing else.
 */
#include "master/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "master/plan.h"

#define LISTEN_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn; a full one costs clients a second */

struct listener {
    char *name;
    int fd;
    bool wanted; /* asked for since listeners_begin() */
    bool fresh;  /* opened since listeners_begin() */
};

static struct listener *listeners;
static size_t listener_count;

static const struct config_origin nowhere = {NULL, 0};

static struct listener *listener_find(const char *name)
{
    for (size_t i = 0; i < listener_count; i++)
        if (strcmp(listeners[i].name, name) == 0)
            return &listeners[i];
    return NULL;
}

static void listener_keep(const char *name, int fd)
{
    listeners = mem_realloc_array(listeners, listener_count + 1, sizeof *listeners);
    listeners[listener_count++] = (struct listener){mem_strdup(name), fd, true, true};
}

static void set_add(struct listener_set *set, const char *name, int fd)
{
    set->names = mem_realloc_array(set->names, set->count + 1, sizeof *set->names);
    set->fds = mem_realloc_array(set->fds, set->count + 1, sizeof *set->fds);
    set->names[set->count] = mem_strdup(name);
    set->fds[set->count++] = fd;
}

void listener_set_free(struct listener_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->names[i]);
    free(set->names);
    free(set->fds);
    *set = (struct listener_set){NULL, NULL, 0};
}

static void listeners_sweep(bool (*goes)(const struct listener *listener))
{
    size_t kept = 0;
    for (size_t i = 0; i < listener_count; i++) {
        if (goes(&listeners[i])) {
            if (strncmp(listeners[i].name, "unix:", 5) == 0)
                unlink(listeners[i].name + 5);
            close(listeners[i].fd);
            free(listeners[i].name);
        } else
            listeners[kept++] = listeners[i];
    }
    listener_count = kept;
}

static bool is_unwanted(const struct listener *listener) { return !listener->wanted; }
static bool is_fresh(const struct listener *listener) { return listener->fresh; }

void listeners_begin(void)
{
    for (size_t i = 0; i < listener_count; i++)
        listeners[i].wanted = listeners[i].fresh = false;
}

void listeners_commit(void) { listeners_sweep(is_unwanted); }
void listeners_abort(void) { listeners_sweep(is_fresh); }

/* --- inet --------------------------------------------------------------------------------- */

struct inet_request {
    const struct config *config;
    const char *port;
    struct listener_set *set;
    struct config_problems *problems;
    bool ipv4, ipv6;
};

static bool fail(struct config_problems *problems, const char *what, const char *name)
{
    config_problems_add(problems, nowhere, true, "%s %s: %s", what, name, strerror(errno));
    return false;
}

/* As Postfix words it in its fatal line. */
static int bind_and_listen(const struct addrinfo *address, const char *host, const char *port,
                           struct config_problems *problems)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        config_problems_add(problems, nowhere, true, "socket for %s port %s: %s", host, port, strerror(errno));
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (address->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
        bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        config_problems_add(problems, nowhere, true, "bind %s port %s: %s", host, port, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static bool open_address(struct inet_request *request, const struct addrinfo *address)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return fail(request->problems, "address of", request->port);
    char *name = mem_printf(address->ai_family == AF_INET6 ? "inet:[%s]:%s" : "inet:%s:%s", host, port);
    struct listener *known = listener_find(name);
    int fd = known != NULL ? known->fd : bind_and_listen(address, host, port, request->problems);
    if (known != NULL)
        known->wanted = true;
    else if (fd >= 0)
        listener_keep(name, fd);
    if (fd >= 0)
        set_add(request->set, name, fd);
    free(name);
    return fd >= 0;
}

static bool set_has(const struct listener_set *set, const struct addrinfo *address)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    char *name = mem_printf(address->ai_family == AF_INET6 ? "inet:[%s]:%s" : "inet:%s:%s", host, port);
    bool has = false;
    for (size_t i = 0; i < set->count; i++)
        has = has || strcmp(set->names[i], name) == 0;
    free(name);
    return has;
}

/* Ports that must work where /etc/services is missing, as in a small container. */
static const char *port_number(const char *port)
{
    static const struct {
        const char *name, *number;
    } known[] = {{"smtp", "25"}, {"smtps", "465"}, {"submissions", "465"}, {"submission", "587"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, port) == 0 && getservbyname(port, "tcp") == NULL)
            return known[i].number;
    return port;
}

/* host NULL: any address of the family. */
static bool open_host(struct inet_request *request, const char *host, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, port_number(request->port), &hints, &found);
    if (error != 0) {
        config_problems_add(request->problems, nowhere, true, "%s: %s: %s", host != NULL ? host : "inet_interfaces",
                            request->port, gai_strerror(error));
        return false;
    }
    bool works = true;
    for (struct addrinfo *address = found; works && address != NULL; address = address->ai_next) {
        bool usable = (address->ai_family == AF_INET && request->ipv4) ||
                      (address->ai_family == AF_INET6 && request->ipv6);
        if (usable && !set_has(request->set, address))
            works = open_address(request, address);
    }
    freeaddrinfo(found);
    return works;
}

static bool open_wildcard(struct inet_request *request)
{
    return (!request->ipv4 || open_host(request, "0.0.0.0", AF_INET)) &&
           (!request->ipv6 || open_host(request, "::", AF_INET6));
}

static bool open_loopback(struct inet_request *request)
{
    return (!request->ipv4 || open_host(request, "127.0.0.1", AF_INET)) &&
           (!request->ipv6 || open_host(request, "::1", AF_INET6));
}

static bool open_interfaces(struct inet_request *request)
{
    struct arena *arena = arena_new();
    char **items;
    bool works = true;
    size_t count = config_split_list(config_string(request->config, "inet_interfaces"), arena, &items);
    for (size_t i = 0; works && i < count; i++) {
        if (strcmp(items[i], "all") == 0)
            works = open_wildcard(request);
        else if (strcmp(items[i], "loopback-only") == 0)
            works = open_loopback(request);
        else {
            size_t len = strlen(items[i]);
            if (items[i][0] == '[' && items[i][len - 1] == ']') { /* [::1] */
                items[i][len - 1] = '\0';
                items[i]++;
            }
            works = open_host(request, items[i], AF_UNSPEC);
        }
    }
    arena_free(arena);
    return works;
}

/* A kernel without IPv6 is no error while inet_protocols is "all". */
static bool has_ipv6(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool works = bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
    close(fd);
    return works;
}

static void read_protocols(struct inet_request *request)
{
    const char *protocols = config_string(request->config, "inet_protocols");
    struct slice rest = slice_of(protocols), word;
    while (slice_next_token(&rest, ", \t", &word)) {
        bool all = slice_equal(word, SLICE("all"));
        request->ipv4 = request->ipv4 || all || slice_equal(word, SLICE("ipv4"));
        if (slice_equal(word, SLICE("ipv6")) || (all && has_ipv6()))
            request->ipv6 = true;
    }
}

bool listeners_open_inet(const struct config *config, const char *endpoint, struct listener_set *set,
                         struct config_problems *problems)
{
    char *host, *port;
    if (!plan_split_endpoint(endpoint, &host, &port)) {
        config_problems_add(problems, nowhere, true, "bad service name: %s", endpoint);
        return false;
    }
    uint64_t number;
    if (slice_to_u64(slice_of(port), &number) && number > 65535) { /* getaddrinfo() would cut it to 16 bits */
        config_problems_add(problems, nowhere, true, "service %s: no such port", endpoint);
        free(host);
        free(port);
        return false;
    }
    struct inet_request request = {.config = config, .port = port, .set = set, .problems = problems};
    read_protocols(&request);
    bool works = *host != '\0' ? open_host(&request, host, AF_UNSPEC) : open_interfaces(&request);
    if (works && set->count == 0) {
        config_problems_add(problems, nowhere, true, "service %s: inet_interfaces and inet_protocols leave no address",
                            endpoint);
        works = false;
    }
    free(host);
    free(port);
    return works;
}

/* --- unix --------------------------------------------------------------------------------- */

bool listeners_open_unix(const char *path, int type, struct listener_set *set, struct config_problems *problems)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *name = mem_printf("unix:%s", path);
    struct listener *known = listener_find(name);
    if (known != NULL) {
        known->wanted = true;
        set_add(set, name, known->fd);
        free(name);
        return true;
    }
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    mode_t mask = umask(0111); /* the mode comes with bind: chmod afterwards could be led astray */
    bool works = fd >= 0 && (unlink(path) == 0 || errno == ENOENT) &&
                 bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, LISTEN_BACKLOG) == 0;
    umask(mask);
    if (works) {
        listener_keep(name, fd);
        set_add(set, name, fd);
    } else {
        fail(problems, "listen on", path);
        if (fd >= 0)
            close(fd);
    }
    free(name);
    return works;
}
