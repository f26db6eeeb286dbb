/* SPDX-License-Identifier: ISC */
/*
 * peername: the name of a client, as smtpd_peer of Postfix finds it: PTR, then the name must have that address.
 * A failure to find out is told apart from "there is none", for a 450 instead of a 5xx.
 */
#include <arpa/inet.h>

#include "common/base/clock.h"
#include "common/dns/dns_reverse.h"
#include "common/mail/hostname.h"
#include "resolver/resolver.h"

#define MAX_ADDRESSES 100

static bool same_address(const char *a, const char *b)
{
    unsigned char raw_a[16], raw_b[16];
    int family = strchr(a, ':') != NULL ? AF_INET6 : AF_INET;
    size_t size = family == AF_INET6 ? 16 : 4;
    return inet_pton(family, a, raw_a) == 1 && inet_pton(family, b, raw_b) == 1 && memcmp(raw_a, raw_b, size) == 0;
}

static void no_name(enum peername_status status, struct dns_peername *peer)
{
    *peer = (struct dns_peername){.status = (uint8_t)status, .reverse_status = (uint8_t)status, .name = (char *)"unknown",
                                  .reverse_name = (char *)"unknown", .warning = (char *)""};
}

static void not_believed(struct dns_peername *peer, enum peername_status status, const char *address, const char *why,
                         struct arena *arena)
{
    peer->name = (char *)"unknown";
    peer->status = (uint8_t)status;
    peer->warning = arena_printf(arena, "hostname %s does not resolve to address %s%s%s", peer->reverse_name, address,
                                 why != NULL ? ": " : "", why != NULL ? why : "");
}

/* The words of the C library, because people know them. */
static const char *reason(enum dns_status status)
{
    return status == DNS_NO_NAME ? "Name or service not known" :
           status == DNS_TEMPORARY ? "Temporary failure in name resolution" : "No address associated with hostname";
}

static void confirm(struct dns_peername *peer, const char *address, struct arena *arena)
{
    struct dns_answer answer;
    query_ask(peer->reverse_name, strchr(address, ':') != NULL ? DNS_AAAA : DNS_A, CLOCK_NEVER, arena, &answer);
    if (answer.status != DNS_FOUND) {
        not_believed(peer, answer.status == DNS_TEMPORARY ? PEERNAME_TEMPORARY : PEERNAME_FORGED, address,
                     reason((enum dns_status)answer.status), arena);
        return;
    }
    for (size_t i = 0; i < answer.count && i < MAX_ADDRESSES; i++)
        if (same_address(answer.records[i].data, address))
            return;
    not_believed(peer, PEERNAME_FORGED, address, NULL, arena);
}

void peername_find(const char *address, struct arena *arena, struct dns_peername *peer)
{
    struct dns_answer answer;
    const char *question = dns_reverse_name(address, arena);
    no_name(PEERNAME_NONE, peer);
    /* 127.0.0.0/8 and ::1 are nobody's to name (RFC 6303 4.1), and a local client must not wait for a dead name server. */
    if (question == NULL || strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0)
        return;
    query_ask(question, DNS_PTR, CLOCK_NEVER, arena, &answer);
    if (answer.status == DNS_TEMPORARY)
        no_name(PEERNAME_TEMPORARY, peer);
    if (answer.status != DNS_FOUND)
        return;
    const char *name = answer.records[0].data;
    if (hostname_is_address(slice_of(name))) {
        peer->warning = arena_printf(arena, "numeric hostname: %s", name);
        return;
    }
    if (!hostname_is_valid(slice_of(name)))
        return;
    peer->name = peer->reverse_name = arena_strdup(arena, name);
    peer->status = peer->reverse_status = PEERNAME_OK;
    confirm(peer, address, arena);
}
