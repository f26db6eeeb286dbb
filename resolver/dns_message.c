/* SPDX-License-Identifier: ISC */
/*
 * dns_message: reads a DNS reply. Everything in it is a stranger's: counts, lengths and compression pointers are
 * checked, records about other names are ignored, CNAMEs followed for a few steps. Pure; fuzzed.
 */
#include <arpa/inet.h>
#include <ares.h>
#include <netinet/in.h>

#include "common/base/log.h"
#include "common/mail/hostname.h"
#include "resolver/resolver.h"

#define MAX_ALIASES 10
#define MAX_TTL 604800
#define HEADER_SIZE 12
#define MAX_ANSWERS 4096
#define MAX_TEXT 4096 /* bytes of one TXT record */

struct reader {
    const unsigned char *data;
    size_t len, at;
};

/* One resource record; data is at `at`. */
struct resource {
    char *owner;
    uint16_t type, class;
    uint32_t ttl;
    size_t at, len;
};

static uint16_t get_u16(const unsigned char *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

/* Names arrive without their last dot; the root is "". Bytes that are no host name's come escaped. */
static char *get_name(struct reader *reader, struct arena *arena)
{
    char *text = NULL;
    long used = 0;
    if (reader->at >= reader->len ||
        ares_expand_name(reader->data + reader->at, reader->data, (int)reader->len, &text, &used) != ARES_SUCCESS)
        return NULL;
    char *copy = strlen(text) <= 4 * DNS_MAX_NAME ? arena_strdup(arena, text) : NULL;
    ares_free_string(text);
    reader->at += (size_t)used;
    return copy;
}

static bool get_resource(struct reader *reader, struct arena *arena, struct resource *resource)
{
    resource->owner = get_name(reader, arena);
    if (resource->owner == NULL || reader->len < reader->at || reader->len - reader->at < 10)
        return false;
    const unsigned char *fixed = reader->data + reader->at;
    resource->type = get_u16(fixed);
    resource->class = get_u16(fixed + 2);
    resource->ttl = (uint32_t)get_u16(fixed + 4) << 16 | get_u16(fixed + 6);
    if (resource->ttl > MAX_TTL)
        resource->ttl = resource->ttl >> 31 != 0 ? 0 : MAX_TTL; /* RFC 2181 8 */
    resource->len = get_u16(fixed + 8);
    resource->at = reader->at + 10;
    if (reader->len - resource->at < resource->len)
        return false;
    reader->at = resource->at + resource->len;
    return true;
}

/* As it came, for SPF must see what does not belong there; only NUL, which would hide the rest, becomes another control
 * byte. dns_text_make_printable() is for those who show it. */
static char *read_text(const unsigned char *data, size_t len, struct arena *arena)
{
    struct str text = STR_EMPTY;
    for (size_t at = 0; at < len;) {
        size_t part = data[at++];
        if (part > len - at)
            part = len - at;
        for (size_t i = 0; i < part && text.len < MAX_TEXT; i++)
            str_append_char(&text, data[at + i] != '\0' ? (char)data[at + i] : '\x01');
        at += part;
    }
    char *copy = arena_slice(arena, str_slice(&text));
    str_free(&text);
    return copy;
}

static char *read_address(const unsigned char *data, size_t len, uint16_t type, struct arena *arena)
{
    char text[INET6_ADDRSTRLEN];
    if (len != (type == DNS_A ? 4u : 16u) || inet_ntop(type == DNS_A ? AF_INET : AF_INET6, data, text, sizeof text) == NULL)
        return NULL;
    return arena_strdup(arena, text);
}

/* A name inside the record's data; it must end where the data ends, unless more fields follow. */
static char *read_name(const struct reader *whole, const struct resource *resource, size_t skip, bool is_last,
                       struct arena *arena)
{
    struct reader reader = {whole->data, whole->len, resource->at + skip};
    if (skip >= resource->len)
        return NULL;
    char *name = get_name(&reader, arena);
    size_t end = resource->at + resource->len;
    return name != NULL && (is_last ? reader.at == end : reader.at < end) ? name : NULL;
}

/* "numeric names work with some mailers", so they pass, as in Postfix. */
static bool is_usable_name(const char *name)
{
    struct slice text = slice_of(name);
    if (slice_starts_with_nocase(text, SLICE("*.")))
        text = slice_skip(text, 2);
    return hostname_is_valid(text) || hostname_is_address(text);
}

/* The data of one wanted record; *status tells what is wrong with it. NULL: ignored. */
static char *read_data(const struct reader *reader, const struct resource *resource, struct dns_record *record,
                       struct arena *arena, enum dns_status *status)
{
    const unsigned char *data = reader->data + resource->at;
    *status = DNS_INVALID;
    if (resource->type == DNS_A || resource->type == DNS_AAAA)
        return read_address(data, resource->len, resource->type, arena);
    if (resource->type == DNS_TXT)
        return read_text(data, resource->len, arena);
    bool is_mx = resource->type == DNS_MX;
    char *name = read_name(reader, resource, is_mx ? 2 : 0, resource->type != DNS_SOA, arena);
    if (name == NULL)
        return NULL;
    if (is_mx)
        record->preference = get_u16(data);
    if (is_mx && *name == '\0') {
        *status = DNS_NULL_MX;
        return NULL;
    }
    return is_usable_name(name) ? name : NULL;
}

static void add_record(struct dns_answer *answer, const struct dns_record *record, uint32_t ttl)
{
    if (answer->count >= DNS_MAX_RECORDS)
        return;
    answer->records[answer->count++] = *record;
    if (ttl < answer->ttl)
        answer->ttl = ttl;
}

/* What the answer section says about one name. *next: where a CNAME points to. */
static void collect(const struct reader *reader, const struct resource *all, size_t count, const char *name, uint16_t type,
                    struct arena *arena, struct dns_answer *answer, const char **next)
{
    *next = NULL;
    for (size_t i = 0; i < count && answer->status != DNS_NULL_MX; i++) {
        struct dns_record record = {0};
        enum dns_status status;
        if (all[i].class != 1 || !text_equal_nocase(all[i].owner, name))
            continue;
        if (all[i].type == DNS_CNAME && type != DNS_CNAME) {
            *next = read_name(reader, &all[i], 0, true, arena);
            if (all[i].ttl < answer->ttl)
                answer->ttl = all[i].ttl;
        }
        if (all[i].type != type)
            continue;
        record.data = read_data(reader, &all[i], &record, arena, &status);
        if (record.data != NULL)
            add_record(answer, &record, all[i].ttl);
        else
            answer->status = (uint8_t)status;
    }
}

/* Skips the header and the question. False: malformed. */
static bool read_questions(struct reader *reader, struct arena *arena)
{
    if (reader->len < HEADER_SIZE || reader->len > 65535)
        return false;
    reader->at = HEADER_SIZE;
    for (unsigned i = get_u16(reader->data + 4); i > 0; i--) {
        if (get_name(reader, arena) == NULL || reader->len < reader->at || reader->len - reader->at < 4)
            return false;
        reader->at += 4;
    }
    return true;
}

bool dns_message_read(const unsigned char *data, size_t len, const char *name, uint16_t type, struct arena *arena,
                      struct dns_answer *answer, char **alias)
{
    struct reader reader = {data, len, 0};
    *answer = (struct dns_answer){.status = DNS_NO_DATA, .ttl = MAX_TTL};
    *alias = NULL;
    if (!read_questions(&reader, arena))
        return false;
    size_t count = get_u16(data + 6);
    if (count > MAX_ANSWERS || count > len / 11)
        return false;
    struct resource *all = arena_alloc_array(arena, count, sizeof *all);
    for (size_t i = 0; i < count; i++)
        if (!get_resource(&reader, arena, &all[i]))
            return false;
    answer->records = arena_alloc_array(arena, count < DNS_MAX_RECORDS ? count : DNS_MAX_RECORDS, sizeof *answer->records);
    const char *next = name, *asked = name;
    bool is_about_us = count == 0;
    for (size_t i = 0; i < count && !is_about_us; i++)
        is_about_us = text_equal_nocase(all[i].owner, name);
    if (!is_about_us) /* nobody asked about that */
        return false;
    for (unsigned step = 0; next != NULL && step <= MAX_ALIASES; step++) {
        name = next;
        collect(&reader, all, count, name, type, arena, answer, &next);
        if (answer->count > 0 || answer->status != DNS_NO_DATA)
            break;
        if (next == NULL && step > 0)
            *alias = arena_strdup(arena, name);
    }
    if (name != asked)
        answer->owner = arena_strdup(arena, name);
    if (next != NULL && answer->count == 0 && answer->status == DNS_NO_DATA) /* aliases in a circle */
        return false;
    if (answer->status == DNS_NULL_MX)
        answer->count = 0;
    else if (answer->count > 0)
        answer->status = DNS_FOUND;
    return true;
}

void dns_text_make_printable(struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        for (char *at = answer->records[i].data; *at != '\0'; at++)
            if (*at < ' ' || *at > '~')
                *at = ' ';
}
