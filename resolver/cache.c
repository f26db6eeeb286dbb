/* SPDX-License-Identifier: ISC */
/*
 * cache: answers of the last minute, so that the recipients of one message and the clients of one burst cost one
 * question. The real cache is the name server's. Bounded in time, entries and bytes; temporary failures are never kept.
 */
#include <stdlib.h>
#include <sys/queue.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "resolver/resolver.h"

#define MAX_AGE 60          /* seconds */
#define MAX_NEGATIVE_AGE 10
#define MAX_BYTES ((size_t)16 * 1024 * 1024)

struct entry {
    char *key;
    struct str answer; /* encoded */
    int64_t expires;
    UT_hash_handle hh;
    TAILQ_ENTRY(entry) link; /* oldest first */
};

static struct entry *entries;
static TAILQ_HEAD(, entry) by_age = TAILQ_HEAD_INITIALIZER(by_age);
static size_t bytes;

static size_t cost(const struct entry *entry)
{
    return sizeof *entry + strlen(entry->key) + entry->answer.cap + 64;
}

static void drop(struct entry *entry)
{
    bytes -= cost(entry);
    HASH_DEL(entries, entry);
    TAILQ_REMOVE(&by_age, entry, link);
    str_free(&entry->answer);
    free(entry->key);
    free(entry);
}

static char *key_of(const char *name, uint16_t type)
{
    char *key = mem_printf("%u %s", type, name);
    text_lowercase(key);
    return key;
}

bool cache_find(const char *name, uint16_t type, struct arena *arena, struct dns_answer *answer)
{
    struct entry *entry;
    char *key = key_of(name, type);
    HASH_FIND_STR(entries, key, entry);
    free(key);
    if (entry != NULL && entry->expires <= clock_ms()) {
        drop(entry);
        entry = NULL;
    }
    return entry != NULL && dns_answer_decode(str_slice(&entry->answer), arena, answer);
}

void cache_add(const char *name, uint16_t type, const struct dns_answer *answer)
{
    int64_t limit = answer->status == DNS_FOUND ? MAX_AGE : MAX_NEGATIVE_AGE;
    int64_t age = answer->ttl < limit ? answer->ttl : limit;
    struct entry *entry;
    if (answer->status == DNS_TEMPORARY || age == 0)
        return;
    char *key = key_of(name, type);
    HASH_FIND_STR(entries, key, entry);
    if (entry != NULL)
        drop(entry);
    entry = mem_alloc(sizeof *entry);
    entry->key = key;
    entry->expires = deadline_in_s(age);
    dns_answer_encode(answer, &entry->answer);
    HASH_ADD_KEYPTR(hh, entries, entry->key, strlen(entry->key), entry);
    TAILQ_INSERT_TAIL(&by_age, entry, link);
    bytes += cost(entry);
    while (bytes > MAX_BYTES)
        drop(TAILQ_FIRST(&by_age));
}
