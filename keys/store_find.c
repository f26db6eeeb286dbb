/* SPDX-License-Identifier: ISC */
/* store_find: who may use what, and what is wrong. Called by role.c for services, and by expiry.c; changes nothing but what
 * was reported and what has been retired long enough. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "keys/store.h"

/* --- asking ------------------------------------------------------------------------------------------------------ */

static bool has_service(char *const *services, size_t count, const char *service)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(services[i], service) == 0)
            return true;
    return false;
}

static struct set *find_set(const char *service)
{
    for (size_t i = 0; i < store.plan.count; i++)
        if (has_service(store.plan.sets[i].services, store.plan.sets[i].service_count, service))
            return &store.sets[i];
    return NULL;
}

/* mail.example.com, then .example.com, then .com. */
static struct slot *find_name(const struct set *set, const char *name)
{
    struct slot *slot;
    for (; name != NULL; name = strchr(name + 1, '.')) {
        HASH_FIND(by_name, set->names, name, strlen(name), slot);
        if (slot != NULL)
            return slot;
    }
    return NULL;
}

/* False while there is a table that could never be read: it might have said something. */
static bool knows_all_names(const struct set *set)
{
    for (size_t i = 0; i < set->plan->count; i++)
        if (slot_is_table(&set->slots[i]) && set->slots[i].entries == NULL)
            return false;
    return true;
}

bool store_find(const char *service, const char *server_name, const struct chain ***chains, size_t *count)
{
    static const struct chain **found;
    struct set *set = find_set(service);
    *count = 0;
    if (set == NULL)
        return false;
    if (*server_name == '\0') {
        *chains = set->defaults;
        *count = set->default_count;
        return *count > 0;
    }
    struct slot *slot = find_name(set, server_name);
    if (slot == NULL)
        return !knows_all_names(set);
    found = mem_realloc_array(found, slot->count + 1, sizeof *found);
    for (size_t i = 0; i < slot->count; i++)
        found[i] = &slot->chains[i];
    *chains = found;
    *count = slot->count;
    return true;
}

EVP_PKEY *store_find_key(const char *service, const unsigned char id[KEYS_ID_SIZE])
{
    const struct set *set = find_set(service);
    for (size_t i = 0; set != NULL && i < set->all_count; i++)
        for (size_t j = 0; j < set->all[i]->count; j++)
            if (memcmp(set->all[i]->chains[j].id, id, KEYS_ID_SIZE) == 0)
                return set->all[i]->chains[j].key;
    for (struct retired *retired = store.retired; retired != NULL; retired = retired->next)
        if (memcmp(retired->id, id, KEYS_ID_SIZE) == 0 && has_service(retired->services, retired->service_count, service))
            return retired->key;
    return NULL;
}

void store_forget_retired(void)
{
    struct retired **link = &store.retired;
    while (*link != NULL) {
        struct retired *retired = *link;
        if (retired->until > clock_ms()) {
            link = &retired->next;
            continue;
        }
        *link = retired->next;
        EVP_PKEY_free(retired->key);
        for (size_t i = 0; i < retired->service_count; i++)
            free(retired->services[i]);
        free(retired->services);
        free(retired);
    }
}

void store_walk(store_visitor *visit)
{
    for (size_t i = 0; i < store.plan.count; i++)
        for (size_t j = 0; j < store.sets[i].all_count; j++) {
            const struct slot *slot = store.sets[i].all[j];
            for (size_t k = 0; k < slot->count; k++)
                visit(slot->credential != NULL ? slot->credential->files[0] : slot->label, slot->chains[k].certificates[0]);
        }
}

/* --- what the admin is told ---------------------------------------------------------------------------------------- */

bool store_has_news(void)
{
    for (size_t i = 0; i < store.plan.count; i++)
        for (size_t j = 0; j < store.sets[i].all_count; j++)
            if (store.sets[i].all[j]->problem != NULL && !store.sets[i].all[j]->is_reported)
                return true;
    return false;
}

static const char *consequence(const struct slot *slot)
{
    if (slot_is_table(slot))
        return slot->entries != NULL ? "the table that was there before stays in use" : "certificates by name cannot be looked up";
    return slot->count > 0 ? "the certificate that was there before stays in use" : "there is no TLS with this certificate";
}

void store_report(void)
{
    for (size_t i = 0; i < store.plan.count; i++)
        for (size_t j = 0; j < store.sets[i].all_count; j++) {
            struct slot *slot = store.sets[i].all[j];
            if (slot->problem != NULL && !slot->is_reported)
                log_warning("%s: %s: %s", slot->label, slot->problem, consequence(slot));
            slot->is_reported = true;
        }
}
