/* SPDX-License-Identifier: ISC */
/* local_memory: a bounded table of keys and values. Called by state_client while the state role does not answer. */
#include "common/state/local_memory.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

struct entry {
    char *key; /* "store/key": a store's name has no slash */
    struct str value;
    int64_t expires_ms;
    UT_hash_handle hh;
};

static struct entry *entries; /* in the order of their first use */

static void forget(struct entry *entry)
{
    HASH_DEL(entries, entry);
    free(entry->key);
    str_free(&entry->value);
    free(entry);
}

static struct entry *find(const char *name)
{
    struct entry *entry;
    HASH_FIND_STR(entries, name, entry);
    return entry;
}

bool local_memory_is_empty(void)
{
    return entries == NULL;
}

bool local_memory_get(const char *store, const char *key, struct slice *value)
{
    char *name = mem_printf("%s/%s", store, key);
    struct entry *entry = find(name);
    free(name);
    *value = SLICE("");
    if (entry == NULL)
        return false;
    if (entry->expires_ms <= wall_us() / 1000) {
        forget(entry);
        return false;
    }
    *value = str_slice(&entry->value);
    return true;
}

void local_memory_put(const char *store, const char *key, struct slice value, int64_t expires_ms)
{
    char *name = mem_printf("%s/%s", store, key);
    struct entry *entry = find(name);
    if (entry == NULL) {
        if (HASH_COUNT(entries) >= LOCAL_MEMORY_LIMIT)
            forget(entries);
        entry = mem_alloc(sizeof *entry);
        entry->key = name;
        HASH_ADD_KEYPTR(hh, entries, entry->key, strlen(entry->key), entry);
    } else
        free(name);
    str_clear(&entry->value);
    str_append_slice(&entry->value, value);
    entry->expires_ms = expires_ms;
}
