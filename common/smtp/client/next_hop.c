/* SPDX-License-Identifier: ISC */
/* smtp next_hop: splits a next hop into host and port, or a socket's path. Pure. */
#include "common/smtp/client/next_hop.h"

static bool next_hop_port(struct slice text, unsigned *port)
{
    static const struct {
        struct slice name;
        unsigned port;
    } services[] = {{{"lmtp", 4}, 24}, {{"smtp", 4}, 25}, {{"submission", 10}, 587},
                    {{"smtps", 5}, 465}, {{"submissions", 11}, 465}};
    uint64_t number;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (slice_equal_nocase(services[i].name, text)) {
            *port = services[i].port;
            return true;
        }
    }
    if (!slice_to_u64(text, &number) || number == 0 || number > 65535)
        return false;
    *port = (unsigned)number;
    return true;
}

/* Host and the text after ':' (NULL data: none). False: unbalanced brackets or junk. */
static bool next_hop_split(struct slice text, struct slice *host, struct slice *port)
{
    *port = slice_range(NULL, 0);
    if (text.len > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.len);
        if (end == NULL)
            return false;
        *host = slice_range(text.data + 1, (size_t)(end - text.data) - 1);
        text = slice_skip(text, host->len + 2);
        if (text.len > 0 && text.data[0] != ':')
            return false;
    } else {
        const char *colon = memchr(text.data, ':', text.len);
        *host = slice_range(text.data, colon != NULL ? (size_t)(colon - text.data) : text.len);
        text = slice_skip(text, host->len);
    }
    if (text.len > 0)
        *port = slice_skip(text, 1);
    if (slice_starts_with_nocase(*host, SLICE("ipv6:")))
        *host = slice_skip(*host, 5);
    return host->len > 0 && memchr(host->data, '[', host->len) == NULL;
}

bool smtp_next_hop_parse(const char *text, const char *default_port, struct arena *arena,
                         struct smtp_next_hop *hop, const char **error)
{
    struct slice rest = slice_of(text), host, port;
    *hop = (struct smtp_next_hop){0};
    if (slice_starts_with_nocase(rest, SLICE("unix:"))) {
        hop->path = arena_slice(arena, slice_skip(rest, 5));
        hop->endpoint = arena_printf(arena, "unix:%s", hop->path);
        *error = hop->path[0] != '\0' ? NULL : "empty socket name";
        return hop->path[0] != '\0';
    }
    if (slice_starts_with_nocase(rest, SLICE("inet:")))
        rest = slice_skip(rest, 5);
    if (!next_hop_split(rest, &host, &port)) {
        *error = "malformed host name";
        return false;
    }
    if (!next_hop_port(port.data != NULL ? port : slice_of(default_port), &hop->port)) {
        *error = "unknown service or port";
        return false;
    }
    hop->host = arena_slice(arena, host);
    bool is_ipv6 = strchr(hop->host, ':') != NULL;
    hop->endpoint = arena_printf(arena, is_ipv6 ? "inet:[%s]:%u" : "inet:%s:%u", hop->host, hop->port);
    *error = NULL;
    return true;
}
