/* SPDX-License-Identifier: ISC */
/* spf_zone: query_ask() from a table. Follows aliases; a name that has nothing does not exist. */
#include "tests/unit/spf_zone.h"

#include <stdlib.h>

#include "common/base/mem.h"

static const struct { const char *name; enum dns_type type; } types[] = {
    {"A", DNS_A}, {"AAAA", DNS_AAAA}, {"MX", DNS_MX}, {"TXT", DNS_TXT}, {"PTR", DNS_PTR}, {"CNAME", DNS_CNAME},
};
static struct { char *name, *data; unsigned type; } *records;
static size_t count, room;
static unsigned questions;

void zone_clear(void)
{
    for (size_t i = 0; i < count; i++) {
        free(records[i].name);
        free(records[i].data);
    }
    free(records);
    records = NULL;
    count = room = 0;
    questions = 0;
}

void zone_add(const char *name, const char *type, const char *data)
{
    unsigned number = 0; /* TIMEOUT */
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, type) == 0)
            number = types[i].type;
    if (count == room) {
        room = room * 2 + 64;
        records = mem_realloc_array(records, room, sizeof *records);
    }
    records[count].name = mem_strdup(name);
    records[count].data = mem_strdup(data);
    records[count++].type = number;
}

unsigned zone_questions(void)
{
    return questions;
}

/* Without a last dot. */
static bool same_name(const char *a, const char *b)
{
    size_t len = strlen(a), other = strlen(b);
    len -= len > 0 && a[len - 1] == '.';
    other -= other > 0 && b[other - 1] == '.';
    return slice_equal_nocase(slice_range(a, len), slice_range(b, other));
}

static void add(struct dns_answer *answer, uint16_t type, const char *data, struct arena *arena)
{
    struct dns_record *record = &answer->records[answer->count++];
    if (type == DNS_MX) {
        record->preference = (uint16_t)strtoul(data, NULL, 10);
        data = strchr(data, ' ') + 1;
        if (*data == '\0') {
            answer->status = DNS_NULL_MX;
            answer->count = 0;
            return;
        }
    }
    record->data = arena_strdup(arena, data);
    answer->status = DNS_FOUND;
}

void query_ask(const char *name, uint16_t type, int64_t deadline UNUSED, struct arena *arena, struct dns_answer *answer)
{
    questions++;
    for (unsigned step = 0; step < 10; step++) {
        const char *alias = NULL;
        bool is_silent = false;
        *answer = (struct dns_answer){.status = DNS_NO_NAME, .ttl = 60};
        answer->records = arena_alloc_array(arena, count + 1, sizeof *answer->records);
        for (size_t i = 0; i < count; i++) {
            if (!same_name(records[i].name, name))
                continue;
            if (answer->status == DNS_NO_NAME)
                answer->status = DNS_NO_DATA;
            if (records[i].type == type && answer->status != DNS_NULL_MX)
                add(answer, type, records[i].data, arena);
            else if (records[i].type == DNS_CNAME)
                alias = records[i].data;
            is_silent = is_silent || records[i].type == 0;
        }
        if (is_silent && answer->count == 0)
            answer->status = DNS_TEMPORARY;
        if (alias == NULL || answer->count > 0)
            return;
        name = alias;
    }
    answer->status = DNS_TEMPORARY; /* in a circle */
}
