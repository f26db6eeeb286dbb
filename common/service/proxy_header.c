/* SPDX-License-Identifier: ISC */
/* proxy_header: reads a PROXY header. Called by proxy_read.c for each connection of a service behind a proxy. Pure. */
#include "common/service/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>

#define SIGNATURE_SIZE 12
#define FIXED_SIZE 16 /* of version 2: signature, version and command, family, length */
#define V1_LIMIT 107  /* the longest line of version 1 with its CRLF */

static const char signature[SIGNATURE_SIZE] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

static enum proxy_status bad(struct proxy_header *header, const char *error)
{
    header->error = error;
    return PROXY_BAD;
}

static enum proxy_status more(struct proxy_header *header, const char *error)
{
    header->error = error;
    return PROXY_MORE;
}

/* An IPv4 address in IPv6 clothes is written as what it is. */
static bool write_address(int family, const unsigned char *bytes, char text[INET6_ADDRSTRLEN])
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (family == AF_INET6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
        family = AF_INET;
        bytes += sizeof mapped;
    }
    return inet_ntop(family, bytes, text, INET6_ADDRSTRLEN) != NULL;
}

/* --- version 1 ------------------------------------------------------------------------------ */

static bool read_address(struct slice *rest, int family, char text[INET6_ADDRSTRLEN])
{
    struct slice word;
    unsigned char bytes[16];
    char copy[INET6_ADDRSTRLEN];
    if (!slice_next_token(rest, " \r", &word) || word.len >= sizeof copy || memchr(word.data, '\0', word.len) != NULL)
        return false;
    memcpy(copy, word.data, word.len);
    copy[word.len] = '\0';
    return inet_pton(family, copy, bytes) == 1 && write_address(family, bytes, text);
}

static bool read_port(struct slice *rest, char text[8])
{
    struct slice word;
    uint64_t number;
    if (!slice_next_token(rest, " \r", &word) || word.len > 5 || !slice_to_u64(word, &number) || number > 65535 ||
        (word.len > 1 && word.data[0] == '0'))
        return false;
    snprintf(text, 8, "%u", (unsigned)number);
    return true;
}

static int read_family(struct slice *rest, bool use_ipv4, bool use_ipv6)
{
    struct slice word;
    if (!slice_next_token(rest, " \r", &word))
        return AF_UNSPEC;
    if (use_ipv6 && slice_equal_nocase(word, SLICE("TCP6")))
        return AF_INET6;
    return use_ipv4 && slice_equal_nocase(word, SLICE("TCP4")) ? AF_INET : AF_UNSPEC;
}

static enum proxy_status parse_line(struct slice bytes, bool use_ipv4, bool use_ipv6, struct proxy_header *header)
{
    const char *end = memchr(bytes.data, '\n', bytes.len);
    if (end == NULL)
        return bytes.len > V1_LIMIT ? bad(header, "missing protocol header terminator") :
                                      more(header, "missing protocol header terminator");
    struct slice rest = slice_range(bytes.data, (size_t)(end - bytes.data));
    header->size = rest.len + 1;
    rest = slice_skip(rest, 6);
    /* "UNKNOWN" is refused as well: it would go around every rule about addresses. */
    int family = read_family(&rest, use_ipv4, use_ipv6);
    if (family == AF_UNSPEC)
        return bad(header, "bad or missing protocol type");
    if (!read_address(&rest, family, header->client_address))
        return bad(header, "bad or missing client address");
    if (!read_address(&rest, family, header->server_address))
        return bad(header, "bad or missing server address");
    if (!read_port(&rest, header->client_port))
        return bad(header, "bad or missing client port");
    if (!read_port(&rest, header->server_port))
        return bad(header, "bad or missing server port");
    return PROXY_OK;
}

/* --- version 2 -------------------------------------------------------------------------------- */

static unsigned read_u16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static enum proxy_status take_addresses(const unsigned char *at, int family, struct proxy_header *header)
{
    size_t size = family == AF_INET ? 4 : 16;
    if (!write_address(family, at, header->client_address))
        return bad(header, "client network address conversion error");
    if (!write_address(family, at + size, header->server_address))
        return bad(header, "server network address conversion error");
    snprintf(header->client_port, sizeof header->client_port, "%u", read_u16(at + 2 * size));
    snprintf(header->server_port, sizeof header->server_port, "%u", read_u16(at + 2 * size + 2));
    return PROXY_OK;
}

static enum proxy_status parse_binary(struct slice bytes, bool use_ipv4, bool use_ipv6, struct proxy_header *header)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    if (bytes.len < FIXED_SIZE)
        return more(header, "short protocol header");
    unsigned length = read_u16(at + 14);
    header->size = FIXED_SIZE + length;
    if ((at[12] & 0xf0) != 0x20)
        return bad(header, "unrecognized protocol version");
    if (bytes.len < header->size)
        return header->size > PROXY_HEADER_LIMIT ? bad(header, "short version 2 protocol header") :
                                                   more(header, "short version 2 protocol header");
    if ((at[12] & 0x0f) == 0) {
        header->is_local = true;
        return PROXY_OK;
    }
    if ((at[12] & 0x0f) != 1)
        return bad(header, "bad command in proxy header");
    if (at[13] == 0x11) {
        if (!use_ipv4)
            return bad(header, "Postfix IPv4 support is disabled");
        return length < 12 ? bad(header, "short address field") : take_addresses(at + FIXED_SIZE, AF_INET, header);
    }
    if (at[13] == 0x21) {
        if (!use_ipv6)
            return bad(header, "Postfix IPv6 support is disabled");
        return length < 36 ? bad(header, "short address field") : take_addresses(at + FIXED_SIZE, AF_INET6, header);
    }
    return bad(header, "unsupported network protocol");
}

static bool begins_like(struct slice bytes, const char *pattern, size_t size)
{
    return memcmp(bytes.data, pattern, bytes.len < size ? bytes.len : size) == 0;
}

enum proxy_status proxy_header_parse(struct slice bytes, bool use_ipv4, bool use_ipv6, struct proxy_header *header)
{
    *header = (struct proxy_header){0};
    if (bytes.len == 0)
        return more(header, "short protocol header");
    if (begins_like(bytes, "PROXY ", 6))
        return bytes.len < 6 ? more(header, "short protocol header") : parse_line(bytes, use_ipv4, use_ipv6, header);
    if (begins_like(bytes, signature, SIGNATURE_SIZE))
        return parse_binary(bytes, use_ipv4, use_ipv6, header);
    return bad(header, bytes.len < FIXED_SIZE ? "short protocol header" : "unrecognized protocol header");
}
