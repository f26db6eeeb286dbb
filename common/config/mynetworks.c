/* SPDX-License-Identifier: ISC */
/*
 * mynetworks: the default of mynetworks, from the addresses of this host's interfaces and
 * mynetworks_style (host, subnet, class). Asks the kernel once; when that fails, only the loopback is
 * trusted. Called while the configuration is loaded, never in a confined process.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/config/config_internal.h"

struct selection {
    const char *style;
    bool ipv4, ipv6;
    bool loopback_only;
    const char *interfaces; /* inet_interfaces, when it lists addresses; otherwise NULL */
};

struct network {
    int family;
    unsigned char address[16];
    size_t size; /* 4 or 16 */
    unsigned prefix;
};

static const char *value_of(const struct config *config, const char *name)
{
    struct str ignored = STR_EMPTY;
    const char *value = config_try_evaluate(config, name, &ignored);
    str_free(&ignored);
    return value != NULL ? value : "";
}

static bool list_has(const char *list, const char *word)
{
    struct slice rest = slice_of(list), token;
    while (slice_next_token(&rest, ", \t\r\n", &token))
        if (slice_equal_nocase(token, slice_of(word)))
            return true;
    return false;
}

/* "[::1]" is the address that "::1" is. */
static bool lists_address(const char *list, const char *address)
{
    struct slice rest = slice_of(list), token;
    while (slice_next_token(&rest, ", \t\r\n", &token)) {
        if (token.len > 2 && token.data[0] == '[' && token.data[token.len - 1] == ']')
            token = slice_range(token.data + 1, token.len - 2);
        if (slice_equal_nocase(token, slice_of(address)))
            return true;
    }
    return false;
}

static struct selection select_from(const struct config *config)
{
    const char *protocols = value_of(config, "inet_protocols");
    const char *interfaces = value_of(config, "inet_interfaces");
    bool all = list_has(protocols, "all");
    return (struct selection){
        .style = value_of(config, "mynetworks_style"),
        .ipv4 = all || list_has(protocols, "ipv4"),
        .ipv6 = all || list_has(protocols, "ipv6"),
        .loopback_only = list_has(interfaces, "loopback-only"),
        .interfaces = list_has(interfaces, "all") || list_has(interfaces, "loopback-only")
            ? NULL
            : interfaces,
    };
}

static unsigned count_bits(const unsigned char *mask, size_t size)
{
    unsigned bits = 0;
    while (bits < size * 8 && (mask[bits / 8] & (0x80u >> (bits % 8))) != 0)
        bits++;
    return bits;
}

static unsigned class_prefix(unsigned char first_octet)
{
    if (first_octet < 128)
        return 8;
    return first_octet < 192 ? 16 : first_octet < 224 ? 24 : 32;
}

static bool address_bytes(const struct sockaddr *address, struct network *network)
{
    network->family = address->sa_family;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        network->size = 4;
        memcpy(network->address, &in->sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        network->size = 16;
        memcpy(network->address, &in6->sin6_addr, 16);
        return true;
    }
    return false;
}

static unsigned prefix_for(const struct selection *selection, const struct network *network,
                           const struct sockaddr *netmask)
{
    struct network mask;
    if (strcmp(selection->style, "host") == 0 || netmask == NULL)
        return (unsigned)network->size * 8;
    if (strcmp(selection->style, "class") == 0 && network->family == AF_INET)
        return class_prefix(network->address[0]);
    mask.family = network->family;
    mask.size = network->size;
    struct sockaddr_storage storage = {0};
    memcpy(&storage, netmask,
           network->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    storage.ss_family = (sa_family_t)network->family;
    if (!address_bytes((const struct sockaddr *)&storage, &mask))
        return (unsigned)network->size * 8;
    return count_bits(mask.address, mask.size);
}

static void clear_host_bits(struct network *network)
{
    for (size_t bit = network->prefix; bit < network->size * 8; bit++)
        network->address[bit / 8] &= (unsigned char)~(0x80u >> (bit % 8));
}

static void format_address(const struct network *network, char *text, size_t size)
{
    if (inet_ntop(network->family, network->address, text, (socklen_t)size) == NULL)
        text[0] = '\0';
}

/* Adds "10.0.0.0/8" or "[fe80::]/64" unless it is there already. */
static void append_network(struct str *list, const struct network *network)
{
    char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];
    format_address(network, address, sizeof address);
    snprintf(text, sizeof text, network->family == AF_INET6 ? "[%s]/%u" : "%s/%u", address,
             network->prefix);
    if (list_has(str_text(list), text))
        return;
    if (list->len > 0)
        str_append_char(list, ' ');
    str_append(list, text);
}

static bool is_wanted(const struct selection *selection, const struct ifaddrs *interface,
                      const struct network *network)
{
    char address[INET6_ADDRSTRLEN];
    if ((interface->ifa_flags & IFF_UP) == 0)
        return false;
    if (network->family == AF_INET ? !selection->ipv4 : !selection->ipv6)
        return false;
    if (selection->loopback_only)
        return (interface->ifa_flags & IFF_LOOPBACK) != 0;
    format_address(network, address, sizeof address);
    if (selection->interfaces == NULL || lists_address(selection->interfaces, address))
        return true;
    return (interface->ifa_flags & IFF_LOOPBACK) != 0 &&
        list_has(selection->interfaces, "localhost");
}

static void append_interface(struct str *list, const struct selection *selection,
                             const struct ifaddrs *interface)
{
    struct network network = {0};
    if (interface->ifa_addr == NULL || !address_bytes(interface->ifa_addr, &network) ||
        !is_wanted(selection, interface, &network))
        return;
    network.prefix = prefix_for(selection, &network, interface->ifa_netmask);
    clear_host_bits(&network);
    append_network(list, &network);
}

char *config_compute_mynetworks(const struct config *config)
{
    struct selection selection = select_from(config);
    struct str list = STR_EMPTY;
    struct ifaddrs *interfaces = NULL;
    if (getifaddrs(&interfaces) == 0) {
        for (const struct ifaddrs *i = interfaces; i != NULL; i = i->ifa_next)
            append_interface(&list, &selection, i);
        freeifaddrs(interfaces);
    }
    if (list.len == 0)
        str_append(&list, "127.0.0.0/8 [::1]/128");
    return str_detach(&list);
}
