/* SPDX-License-Identifier: ISC */
/*
 * resolve_own: the addresses of this machine, for user@[192.0.2.1]. Collected once, while the process may still ask
 * the system: inet_interfaces (all, loopback-only, or names and addresses) and proxy_interfaces.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/clock.h"
#include "common/mail/resolve_internal.h"
#include "common/table/host_resolve.h"

static void add_own(struct own_addresses *own, struct arena *arena, const char *text)
{
    for (size_t i = 0; i < own->count; i++)
        if (strcmp(own->list[i], text) == 0)
            return;
    char **larger = arena_alloc_array(arena, own->count + 1, sizeof *larger);
    if (own->count > 0)
        memcpy(larger, own->list, own->count * sizeof *larger);
    own->list = larger;
    own->list[own->count++] = arena_strdup(arena, text);
}

static void add_socket_address(struct own_addresses *own, struct arena *arena, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    const void *bytes = address->sa_family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
                            : (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (inet_ntop(address->sa_family, bytes, text, sizeof text) != NULL)
        add_own(own, arena, text);
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static void add_interfaces(struct own_addresses *own, struct arena *arena, bool loopback_only)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0) {
        log_warning("cannot list the network interfaces; assuming loopback only");
        add_own(own, arena, "127.0.0.1");
        add_own(own, arena, "::1");
        return;
    }
    for (struct ifaddrs *one = list; one != NULL; one = one->ifa_next) {
        if (one->ifa_addr == NULL ||
            (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
            continue;
        if (!loopback_only || is_loopback(one->ifa_addr))
            add_socket_address(own, arena, one->ifa_addr);
    }
    freeifaddrs(list);
}

static void add_host(struct own_addresses *own, struct arena *arena, const char *parameter, const char *host)
{
    struct host_addresses found;
    const char *why = host_resolve(host, "25", &found, deadline_in_s(10));
    if (why != NULL) {
        log_warning("parameter %s: host not found: %s: %s", parameter, host, why);
        return;
    }
    for (size_t i = 0; i < found.count; i++)
        add_socket_address(own, arena, (const struct sockaddr *)&found.list[i].address);
}

static void add_parameter(struct own_addresses *own, const struct config *config, const char *parameter,
                          struct arena *arena)
{
    char **items;
    size_t count = config_split_list(config_string(config, parameter), arena, &items);
    for (size_t i = 0; i < count; i++) {
        if (text_equal_nocase(items[i], "all"))
            add_interfaces(own, arena, false);
        else if (text_equal_nocase(items[i], "loopback-only"))
            add_interfaces(own, arena, true);
        else
            add_host(own, arena, parameter, items[i]);
    }
}

void own_addresses_collect(struct own_addresses *own, const struct config *config, struct arena *arena)
{
    *own = (struct own_addresses){0};
    add_parameter(own, config, "inet_interfaces", arena);
    add_parameter(own, config, "proxy_interfaces", arena);
}

/* The literal comes without brackets: "192.0.2.1" or "IPv6:2001:db8::1" (RFC 5321 section 4.1.3). */
bool own_addresses_has(const struct own_addresses *own, struct slice literal)
{
    struct slice prefix = SLICE("ipv6:");
    if (slice_starts_with_nocase(literal, prefix))
        literal = slice_skip(literal, prefix.len);
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (literal.len == 0 || literal.len >= sizeof text)
        return false;
    memcpy(text, literal.data, literal.len);
    text[literal.len] = '\0';
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, bytes) != 1 || inet_ntop(family, bytes, text, sizeof text) == NULL)
        return false;
    for (size_t i = 0; i < own->count; i++)
        if (strcmp(own->list[i], text) == 0)
            return true;
    return false;
}
