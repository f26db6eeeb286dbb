/* SPDX-License-Identifier: ISC */
/* dns_protocol: encoding of the resolver's answers. Pure; fuzzed. */
#include "common/dns/dns_protocol.h"

static const struct { uint16_t type; const char *name; } types[] = {
    {DNS_A, "A"}, {DNS_NS, "NS"}, {DNS_CNAME, "CNAME"}, {DNS_SOA, "SOA"}, {DNS_PTR, "PTR"}, {DNS_MX, "MX"}, {DNS_TXT, "TXT"},
    {DNS_AAAA, "AAAA"},
};

static const char *find_type(uint16_t type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].type == type)
            return types[i].name;
    return NULL;
}

bool dns_type_is_known(uint16_t type)
{
    return find_type(type) != NULL;
}

const char *dns_type_name(uint16_t type)
{
    const char *name = find_type(type);
    return name != NULL ? name : "?";
}

void dns_answer_encode(const struct dns_answer *answer, struct str *out)
{
    ipc_put_u8(out, answer->status);
    ipc_put_u32(out, answer->ttl);
    ipc_put_text(out, answer->owner);
    ipc_put_u32(out, (uint32_t)answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        ipc_put_u16(out, answer->records[i].preference);
        ipc_put_text(out, answer->records[i].data);
    }
}

bool dns_answer_decode(struct slice body, struct arena *arena, struct dns_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    answer->status = ipc_get_u8(&reader);
    answer->ttl = ipc_get_u32(&reader);
    answer->owner = ipc_get_text(&reader, arena);
    answer->count = ipc_get_count(&reader, 6);
    answer->records = arena_alloc_array(arena, answer->count, sizeof *answer->records);
    for (size_t i = 0; i < answer->count; i++) {
        answer->records[i].preference = ipc_get_u16(&reader);
        answer->records[i].data = ipc_get_text(&reader, arena);
    }
    return ipc_reader_finish(&reader) && answer->status <= DNS_NULL_MX && answer->count <= DNS_MAX_RECORDS &&
           (answer->count > 0) == (answer->status == DNS_FOUND);
}

void dns_peername_encode(const struct dns_peername *peer, struct str *out)
{
    ipc_put_u8(out, peer->status);
    ipc_put_u8(out, peer->reverse_status);
    ipc_put_text(out, peer->name);
    ipc_put_text(out, peer->reverse_name);
    ipc_put_text(out, peer->warning);
}

static bool is_peer_status(uint8_t status)
{
    return status == PEERNAME_OK || (status >= PEERNAME_TEMPORARY && status <= PEERNAME_FORGED);
}

bool dns_peername_decode(struct slice body, struct arena *arena, struct dns_peername *peer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    peer->status = ipc_get_u8(&reader);
    peer->reverse_status = ipc_get_u8(&reader);
    peer->name = ipc_get_text(&reader, arena);
    peer->reverse_name = ipc_get_text(&reader, arena);
    peer->warning = ipc_get_text(&reader, arena);
    return ipc_reader_finish(&reader) && is_peer_status(peer->status) && is_peer_status(peer->reverse_status);
}
