/* SPDX-License-Identifier: ISC */
/* resolv_conf: reads resolv.conf(5) and resolver_servers. Pure; what is malformed or beyond a bound is left out. */
#include <arpa/inet.h>
#include <stdio.h>

#include "common/mail/hostname.h"
#include "resolver/resolver.h"

#define MAX_SERVERS 3 /* as the C library */
#define MAX_TIMEOUT 30
#define MAX_ATTEMPTS 5

static void add_server(struct slice address, struct slice port, struct resolv_conf *conf)
{
    bool is_ipv6 = memchr(address.data, ':', address.len) != NULL;
    if (conf->server_count == MAX_SERVERS)
        return;
    str_printf(&conf->servers, "%s%s%.*s%s", conf->server_count++ > 0 ? "," : "", is_ipv6 ? "[" : "", SLICE_ARGS(address),
               is_ipv6 ? "]" : "");
    if (port.len > 0)
        str_printf(&conf->servers, ":%.*s", SLICE_ARGS(port));
}

static void read_option(struct slice option, struct resolv_conf *conf)
{
    uint64_t number;
    if (slice_starts_with_nocase(option, SLICE("timeout:")) && slice_to_u64(slice_skip(option, 8), &number))
        conf->timeout_s = number < 1 ? 1 : number > MAX_TIMEOUT ? MAX_TIMEOUT : (unsigned)number;
    if (slice_starts_with_nocase(option, SLICE("attempts:")) && slice_to_u64(slice_skip(option, 9), &number))
        conf->attempts = number < 1 ? 1 : number > MAX_ATTEMPTS ? MAX_ATTEMPTS : (unsigned)number;
}

static void read_line(struct slice line, struct resolv_conf *conf)
{
    struct slice word, value;
    if (!slice_next_token(&line, " \t\r", &word) || word.data[0] == '#' || word.data[0] == ';')
        return;
    if (slice_equal(word, SLICE("nameserver")) && slice_next_token(&line, " \t\r", &value)) {
        const char *zone = memchr(value.data, '%', value.len); /* fe80::1%eth0 */
        struct slice bare = zone != NULL ? slice_range(value.data, (size_t)(zone - value.data)) : value;
        if (hostname_is_address(bare) && zone == NULL)
            add_server(value, SLICE(""), conf);
    }
    if (slice_equal(word, SLICE("options")))
        while (slice_next_token(&line, " \t\r", &value))
            read_option(value, conf);
}

void resolv_conf_parse(struct slice text, struct resolv_conf *conf)
{
    struct slice line;
    *conf = (struct resolv_conf){.servers = STR_EMPTY, .timeout_s = 5, .attempts = 2};
    while (slice_next_token(&text, "\n", &line))
        read_line(line, conf);
    if (conf->server_count == 0)
        add_server(SLICE("127.0.0.1"), SLICE(""), conf); /* as the C library */
}

/* "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353". */
static bool split_server(struct slice text, struct slice *address, struct slice *port)
{
    uint64_t number;
    *address = text;
    *port = SLICE("");
    if (text.len > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.len);
        if (end == NULL)
            return false;
        *address = slice_range(text.data + 1, (size_t)(end - text.data - 1));
        *port = slice_skip(text, (size_t)(end - text.data) + 1);
    } else if (!hostname_is_address(text)) {
        const char *colon = memchr(text.data, ':', text.len);
        if (colon == NULL)
            return false;
        *address = slice_range(text.data, (size_t)(colon - text.data));
        *port = slice_skip(text, (size_t)(colon - text.data));
    }
    if (port->len > 0) {
        if (port->data[0] != ':')
            return false;
        *port = slice_skip(*port, 1);
        if (!slice_to_u64(*port, &number) || number == 0 || number > 65535)
            return false;
    }
    return hostname_is_address(*address);
}

bool resolv_conf_parse_servers(const char *text, struct resolv_conf *conf)
{
    struct slice rest = slice_of(text), one, address, port;
    str_clear(&conf->servers);
    conf->server_count = 0;
    while (slice_next_token(&rest, ", \t\r\n", &one)) {
        if (!split_server(one, &address, &port))
            return false;
        add_server(address, port, conf);
    }
    return conf->server_count > 0;
}
