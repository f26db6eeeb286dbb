/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_networks: what mynetworks trusts. Asks the kernel for this host's interfaces, because a container
 * engine's bridge makes clients from the whole world look like one trusted address.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands/posthorn_check.h"
#include "common/base/mem.h"
#include "common/config/main_cf.h"

static const struct check_advice whole_world = {
    "mynetworks-open", CHECK_ERROR, "Every client in it may relay mail to anybody: this is an open relay.",
    "List only the networks of your own clients, at best none but 127.0.0.0/8 and [::1]/128."};
static const struct check_advice public_network = {
    "mynetworks-public", CHECK_WARNING,
    "Its addresses can be reached from the internet and need not all be yours: strangers may relay mail and avoid the checks.",
    "List single addresses that are yours, or let clients log in instead."};
static const struct check_advice container_gateway = {
    "mynetworks-container-gateway", CHECK_WARNING,
    "A container engine's port forwarding gives connections from anywhere this source address, so strangers count as "
    "trusted clients and may relay.",
    "Take it out of mynetworks, or make the engine keep the client's address (host network, or the PROXY protocol)."};
static const struct check_advice container_default = {
    "mynetworks-container-default", CHECK_NOTE,
    "172.17.0.1 is where Docker's port forwarding makes connections come from; should this server move into or beside a "
    "container, strangers would count as trusted clients.",
    "Trust narrower networks, or make sure that Docker's default network is elsewhere."};
static const struct check_advice bad_network = {
    "mynetworks-syntax", CHECK_ERROR,
    "smtpd cannot tell whom to trust: it warns and answers 451 to clients that permit_mynetworks is asked about.",
    "Write 192.168.0.0/24 or [2001:db8::]/32, with zeros behind the prefix."};

struct network {
    const char *text;
    int family;
    unsigned char bytes[16];
    unsigned prefix;
    struct config_origin where;
};

static size_t size_of(const struct network *network)
{
    return network->family == AF_INET ? 4 : 16;
}

static bool parse_address(const char *text, struct network *network)
{
    network->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(network->family, text, network->bytes) != 1)
        return false;
    network->prefix = (unsigned)size_of(network) * 8;
    return true;
}

/* "10.0.0.0/8", "[::1]/128", "192.0.2.1". */
static bool parse_network(struct arena *arena, const char *text, struct network *network)
{
    char *copy = arena_strdup(arena, text), *slash = strrchr(copy, '/');
    uint64_t prefix;
    if (slash != NULL)
        *slash = '\0';
    size_t len = strlen(copy);
    if (copy[0] == '[' && copy[len - 1] == ']') {
        copy[len - 1] = '\0';
        copy++;
    }
    if (!parse_address(copy, network))
        return false;
    if (slash == NULL)
        return true;
    if (!slice_to_u64(slice_of(slash + 1), &prefix) || prefix > size_of(network) * 8)
        return false;
    network->prefix = (unsigned)prefix;
    for (size_t bit = prefix; bit < size_of(network) * 8; bit++)
        if ((network->bytes[bit / 8] & (0x80u >> (bit % 8))) != 0)
            return false;
    return true;
}

static bool contains(const struct network *outer, const struct network *inner)
{
    if (outer->family != inner->family || inner->prefix < outer->prefix)
        return false;
    for (unsigned bit = 0; bit < outer->prefix; bit++)
        if (((outer->bytes[bit / 8] ^ inner->bytes[bit / 8]) & (0x80u >> (bit % 8))) != 0)
            return false;
    return true;
}

static bool is_private(struct arena *arena, const struct network *network)
{
    static const char *const ranges[] = {
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
        "[::1]/128", "[fc00::]/7", "[fe80::]/10", "[::ffff:127.0.0.0]/104", "[::ffff:10.0.0.0]/104",
        "[::ffff:172.16.0.0]/108", "[::ffff:192.168.0.0]/112", "[::ffff:169.254.0.0]/112", "[::ffff:100.64.0.0]/106",
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct network range = {0};
        if (parse_network(arena, ranges[i], &range) && contains(&range, network))
            return true;
    }
    return false;
}

/* More of the internet than any one admin has: a /8, or the first 16 bits of IPv6. */
static bool is_huge(const struct network *network)
{
    return network->prefix <= (network->family == AF_INET ? 8u : 16u);
}

/* --- gateways of containers ------------------------------------------------------------ */

static bool is_bridge_name(const char *name)
{
    static const char *const prefixes[] = {"docker", "br-", "podman", "cni", "lxcbr", "lxdbr", "incusbr", "nerdctl"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (slice_starts_with_nocase(slice_of(name), slice_of(prefixes[i])))
            return true;
    return false;
}

static void report_gateway(struct check *check, const struct network *network, const char *address, const char *what)
{
    struct network gateway = {0};
    if (parse_address(address, &gateway) && contains(network, &gateway))
        check_report(check, &container_gateway, network->where, "%s in mynetworks contains %s, %s", network->text, address,
                     what);
}

static void check_interfaces(struct check *check, const struct network *network)
{
    struct ifaddrs *list, *at;
    char text[INET6_ADDRSTRLEN];
    if (getifaddrs(&list) != 0)
        return;
    for (at = list; at != NULL; at = at->ifa_next) {
        if (at->ifa_addr == NULL || at->ifa_addr->sa_family != network->family || !is_bridge_name(at->ifa_name))
            continue;
        const void *bytes = network->family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr
            : (const void *)&((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr;
        if (inet_ntop(network->family, bytes, text, sizeof text) != NULL)
            report_gateway(check, network, text,
                           arena_printf(check->arena, "the container bridge %s of this host", at->ifa_name));
    }
    freeifaddrs(list);
}

/* Inside a container the engine's end of the bridge is the default gateway. */
static void check_own_gateway(struct check *check, const struct network *network)
{
    struct str routes = STR_EMPTY;
    struct slice rest, line, field[3];
    if ((access("/.dockerenv", F_OK) != 0 && access("/run/.containerenv", F_OK) != 0) ||
        !config_read_file("/proc/net/route", &routes)) {
        str_free(&routes);
        return;
    }
    rest = str_slice(&routes);
    while (slice_next_token(&rest, "\n", &line)) {
        size_t count = 0;
        while (count < 3 && slice_next_token(&line, "\t ", &field[count]))
            count++;
        if (count < 3 || !slice_equal(field[1], SLICE("00000000")))
            continue;
        struct in_addr gateway = {(in_addr_t)strtoul(arena_slice(check->arena, field[2]), NULL, 16)};
        char text[INET_ADDRSTRLEN];
        if (gateway.s_addr != 0 && inet_ntop(AF_INET, &gateway, text, sizeof text) != NULL)
            report_gateway(check, network, text, "the gateway of the container that this system runs in");
    }
    str_free(&routes);
}

static void check_gateways(struct check *check, const struct network *network)
{
    struct slice rest = check->gateways, address;
    size_t before = check->finding_count;
    while (slice_next_token(&rest, ", ", &address))
        report_gateway(check, network, arena_slice(check->arena, address), "a container gateway (--gateway)");
    check_interfaces(check, network);
    check_own_gateway(check, network);
    struct network usual = {0}, range = {0};
    if (check->finding_count == before && parse_address("172.17.0.1", &usual) && contains(network, &usual) &&
        parse_network(check->arena, "172.16.0.0/12", &range) && contains(&range, network))
        check_report(check, &container_default, network->where, "%s in mynetworks contains 172.17.0.1", network->text);
}

/* --- the list ----------------------------------------------------------------------------- */

static void check_network(struct check *check, const struct check_view *view, const char *text)
{
    struct network network = {.text = text, .where = check_locate(check, view, "mynetworks", text, 0)};
    if (network.where.file == NULL) /* the default: this host's networks */
        network.where = check_locate(check, view, "mynetworks_style", NULL, 0);
    bool is_table = strchr(text, ':') != NULL && text[0] != '[' && inet_pton(AF_INET6, text, network.bytes) != 1 &&
                    strspn(text, "0123456789abcdefABCDEF:./") != strlen(text);
    if (text[0] == '!' || is_table)
        return;
    if (!parse_network(check->arena, text, &network)) {
        check_report(check, &bad_network, network.where, "\"%s\" in mynetworks is no network", text);
        return;
    }
    if (is_huge(&network) && !is_private(check->arena, &network))
        check_report(check, &whole_world, network.where, "mynetworks trusts %s", text);
    else if (!is_private(check->arena, &network) && network.prefix < size_of(&network) * 8)
        check_report(check, &public_network, network.where, "mynetworks trusts %s, a public network", text);
    check_gateways(check, &network);
}

static bool overrides(const struct check_view *view, const char *name)
{
    for (size_t i = 0; view->service != NULL && i < view->service->override_count; i++)
        if (strcmp(view->service->override_names[i], name) == 0)
            return true;
    return view->service == NULL;
}

void check_networks(struct check *check)
{
    for (size_t i = 0; i < check->view_count; i++) {
        const struct check_view *view = &check->views[i];
        struct config_problems problems = {0};
        char **items;
        if (!overrides(view, "mynetworks") || config_string_if_valid(view->config, "mynetworks") == NULL)
            continue;
        size_t count = config_read_list(view->config, "mynetworks", check->arena, &items, &problems);
        for (size_t k = 0; k < problems.count; k++)
            check_report(check, &bad_network, check_locate(check, view, "mynetworks", NULL, 0), "%s",
                         problems.list[k].text);
        config_problems_free(&problems);
        for (size_t k = 0; k < count; k++)
            check_network(check, view, items[k]);
    }
}
