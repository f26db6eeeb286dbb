/* SPDX-License-Identifier: ISC */
/*
 * store: what keys holds. The supervisor says which files belong together (the plan) and sends their contents; whatever is
 * whole and fits takes the place of what was in use, and what is not leaves it there. A key that was replaced can
 * sign for a while yet: handshakes with the old certificate are under way.
 */
#include "keys/store.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define RETIRED_MS (600 * 1000) /* longer than any handshake may take by default */

struct store store;

/* --- slots ------------------------------------------------------------------------------------------ */

static char *make_label(const struct tls_credential *credential)
{
    struct str label = STR_EMPTY;
    bool is_one = credential->file_count == 2 && strcmp(credential->files[0], credential->files[1]) == 0;
    for (size_t i = 0; i < (is_one ? 1 : credential->file_count); i++)
        str_printf(&label, "%s%s", i == 0 ? "" : credential->kind == CREDENTIAL_PAIR ? " with key " : ", ", credential->files[i]);
    return str_detach(&label);
}

static void copy_chains(const struct slot *from, struct slot *to)
{
    to->chains = mem_alloc_array(from->count, sizeof *to->chains);
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        struct chain *chain = &to->chains[i];
        *chain = from->chains[i];
        EVP_PKEY_up_ref(chain->key);
        chain->certificates = mem_alloc_array(chain->count, sizeof *chain->certificates);
        for (size_t j = 0; j < chain->count; j++) {
            chain->certificates[j] = from->chains[i].certificates[j];
            X509_up_ref(chain->certificates[j]);
        }
    }
}

static void copy_entries(const struct slot *from, struct slot *to)
{
    to->entries = mem_alloc_array(from->entry_count + 1, sizeof *to->entries);
    to->entry_count = from->entry_count;
    for (size_t i = 0; i < from->entry_count; i++) {
        to->entries[i].name = mem_strdup(from->entries[i].name);
        to->entries[i].label = mem_strdup(from->entries[i].label);
        copy_chains(&from->entries[i], &to->entries[i]);
    }
}

static void drop_chains(struct slot *slot)
{
    for (size_t i = 0; i < slot->count; i++)
        chain_free(&slot->chains[i]);
    free(slot->chains);
    slot->chains = NULL;
    slot->count = 0;
}

static void slot_clear(struct slot *slot)
{
    for (size_t i = 0; i < slot->entry_count; i++)
        slot_clear(&slot->entries[i]);
    free(slot->entries);
    drop_chains(slot);
    free(slot->name);
    free(slot->label);
    free(slot->problem);
}

/* Keys that a plan no longer names end with it, but not before the handshakes that began with them. */
static void retire(const struct set *set, const struct slot *slot)
{
    for (size_t i = 0; i < slot->count; i++) {
        struct retired *retired = mem_alloc(sizeof *retired);
        retired->key = slot->chains[i].key;
        EVP_PKEY_up_ref(retired->key);
        memcpy(retired->id, slot->chains[i].id, KEYS_ID_SIZE);
        retired->service_count = set->plan->service_count;
        retired->services = mem_alloc_array(retired->service_count + 1, sizeof *retired->services);
        for (size_t j = 0; j < retired->service_count; j++)
            retired->services[j] = mem_strdup(set->plan->services[j]);
        retired->until = deadline_in_ms(RETIRED_MS);
        retired->next = store.retired;
        store.retired = retired;
    }
}

/* --- the plan -------------------------------------------------------------------------------------------- */

static void free_sets(struct set *sets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        HASH_CLEAR(by_name, sets[i].names);
        for (size_t j = 0; j < sets[i].all_count; j++)
            retire(&sets[i], sets[i].all[j]);
        for (size_t j = 0; j < sets[i].plan->count; j++)
            slot_clear(&sets[i].slots[j]);
        free(sets[i].slots);
        free(sets[i].all);
        free(sets[i].defaults);
    }
    free(sets);
}

/* Old slots by their files. */
static struct slot *index_labels(struct set *sets, size_t count)
{
    struct slot *index = NULL, *found;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < sets[i].plan->count; j++) {
            struct slot *slot = &sets[i].slots[j];
            HASH_FIND(by_label, index, slot->label, strlen(slot->label), found);
            if (found == NULL)
                HASH_ADD_KEYPTR(by_label, index, slot->label, strlen(slot->label), slot);
        }
    return index;
}

static void fill_set(struct set *set, const struct tls_credential_set *plan, struct slot *old)
{
    set->plan = plan;
    set->slots = mem_alloc_array(plan->count + 1, sizeof *set->slots);
    for (size_t i = 0; i < plan->count; i++) {
        struct slot *slot = &set->slots[i], *found;
        slot->credential = &plan->list[i];
        slot->name = mem_strdup(plan->list[i].server_name);
        slot->label = make_label(slot->credential);
        HASH_FIND(by_label, old, slot->label, strlen(slot->label), found);
        if (found == NULL)
            continue;
        copy_chains(found, slot);
        if (slot_is_table(slot))
            copy_entries(found, slot);
    }
}

bool store_set_plan(struct slice body)
{
    struct arena *arena = arena_new();
    struct tls_credentials plan;
    if (!tls_credentials_decode(body, arena, &plan)) {
        arena_free(arena);
        return false;
    }
    if (store.next_arena != NULL)
        arena_free(store.next_arena);
    store.next_arena = arena;
    store.next = plan;
    return true;
}

/* Not before its files are there: names would be without their certificates for a moment. */
static void adopt_plan(void)
{
    struct slot *old = index_labels(store.sets, store.plan.count);
    struct set *sets = mem_alloc_array(store.next.count + 1, sizeof *sets);
    for (size_t i = 0; i < store.next.count; i++)
        fill_set(&sets[i], &store.next.sets[i], old);
    HASH_CLEAR(by_label, old);
    free_sets(store.sets, store.plan.count);
    if (store.arena != NULL)
        arena_free(store.arena);
    store.arena = store.next_arena;
    store.plan = store.next;
    store.sets = sets;
    store.next_arena = NULL;
}

static bool names_table(const struct tls_credentials *plan, const char *path)
{
    for (size_t i = 0; i < plan->count; i++)
        for (size_t j = 0; j < plan->sets[i].count; j++)
            if (plan->sets[i].list[j].kind == CREDENTIAL_TABLE && strcmp(plan->sets[i].list[j].files[0], path) == 0)
                return true;
    return false;
}

void store_take_file(const char *path, int error, int fd)
{
    files_take(path, names_table(store.next_arena != NULL ? &store.next : &store.plan, path), error, fd);
}

/* --- putting together --------------------------------------------------------------------------------------- */

static bool make_chains(const struct tls_credential *credential, struct chain **chains, size_t *count, char **problem)
{
    bool good = true;
    const struct pem_file **found = mem_alloc_array(credential->file_count, sizeof *found);
    for (size_t i = 0; i < credential->file_count && good; i++)
        good = (found[i] = files_find(credential->files[i], problem)) != NULL;
    if (good && credential->kind == CREDENTIAL_PAIR)
        good = pem_make_pair(found[0], found[1], chains, count, problem);
    else if (good)
        good = pem_make_chains(found, credential->file_count, chains, count, problem);
    free(found);
    return good;
}

static bool make_entry_chains(const struct table_entry *entry, struct chain **chains, size_t *count, char **problem)
{
    const struct pem_file *content = &entry->content;
    if (content->problem == NULL)
        return pem_make_chains(&content, 1, chains, count, problem);
    *problem = mem_strdup(content->problem);
    return false;
}

static bool is_same(const struct slot *slot, const struct chain *chains, size_t count)
{
    if (slot->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct chain *old = &slot->chains[i];
        if (old->count != chains[i].count || memcmp(old->id, chains[i].id, KEYS_ID_SIZE) != 0)
            return false;
        for (size_t j = 0; j < old->count; j++)
            if (X509_cmp(old->certificates[j], chains[i].certificates[j]) != 0)
                return false;
    }
    return true;
}

static void set_problem(struct slot *slot, char *problem)
{
    if (slot->problem == NULL || problem == NULL || strcmp(slot->problem, problem) != 0)
        slot->is_reported = false;
    free(slot->problem);
    slot->problem = problem;
}

/* True when these are new ones; takes them, or why there are none. */
static bool take_chains(struct set *set, struct slot *slot, bool good, struct slot *new, char *problem)
{
    set_problem(slot, good ? NULL : problem);
    if (!good)
        return false;
    if (is_same(slot, new->chains, new->count)) {
        drop_chains(new);
        return false;
    }
    if (slot->chains != NULL) {
        retire(set, slot);
        log_info("%s: new certificate in use", slot->label);
    }
    drop_chains(slot);
    slot->chains = new->chains;
    slot->count = new->count;
    return true;
}

/* A name that was there keeps what it had. True when there is something new. */
static bool settle_entry(struct set *set, struct slot *found, struct slot *slot, const struct table_entry *entry, const char *path)
{
    struct slot new = {0};
    char *problem = NULL;
    slot->name = mem_strdup(entry->name);
    slot->label = mem_printf("%s, name %s", path, entry->name);
    if (found != NULL) {
        slot->chains = found->chains;
        slot->count = found->count;
        slot->problem = found->problem;
        slot->is_reported = found->is_reported;
        found->chains = NULL;
        found->count = 0;
        found->problem = NULL;
    }
    bool good = make_entry_chains(entry, &new.chains, &new.count, &problem);
    return take_chains(set, slot, good, &new, problem) || found == NULL;
}

static struct slot *index_entries(struct slot *table)
{
    struct slot *index = NULL, *found;
    for (size_t i = 0; i < table->entry_count; i++) {
        struct slot *entry = &table->entries[i];
        HASH_FIND(by_name, index, entry->name, strlen(entry->name), found);
        if (found == NULL)
            HASH_ADD_KEYPTR(by_name, index, entry->name, strlen(entry->name), entry);
    }
    return index;
}

static bool settle_table(struct set *set, struct slot *table)
{
    const char *path = table->credential->files[0];
    const struct table_entry *entries;
    size_t count = 0;
    char *problem = NULL;
    bool good = files_find_table(path, &entries, &count, &problem);
    bool changed = good && (table->entries == NULL || table->entry_count != count);
    set_problem(table, problem);
    if (!good)
        return false;
    struct slot *old = index_entries(table), *slots = mem_alloc_array(count + 1, sizeof *slots), *found;
    for (size_t i = 0; i < count; i++) {
        HASH_FIND(by_name, old, entries[i].name, strlen(entries[i].name), found);
        changed = settle_entry(set, found, &slots[i], &entries[i], path) || changed;
    }
    HASH_CLEAR(by_name, old);
    for (size_t i = 0; i < table->entry_count; i++) {
        retire(set, &table->entries[i]);
        slot_clear(&table->entries[i]);
    }
    free(table->entries);
    table->entries = slots;
    table->entry_count = count;
    return changed;
}

static bool settle_slot(struct set *set, struct slot *slot)
{
    struct slot new = {0};
    char *problem = NULL;
    if (slot_is_table(slot))
        return settle_table(set, slot);
    bool good = make_chains(slot->credential, &new.chains, &new.count, &problem);
    return take_chains(set, slot, good, &new, problem);
}

/* --- indexes ------------------------------------------------------------------------------------------------------ */

static void add_name(struct set *set, struct slot *slot)
{
    struct slot *found;
    HASH_FIND(by_name, set->names, slot->name, strlen(slot->name), found);
    if (*slot->name != '\0' && found == NULL) /* the first counts */
        HASH_ADD_KEYPTR(by_name, set->names, slot->name, strlen(slot->name), slot);
}

static void index_set(struct set *set)
{
    size_t room = set->plan->count, chains = 0;
    HASH_CLEAR(by_name, set->names);
    free(set->all);
    free(set->defaults);
    for (size_t i = 0; i < set->plan->count; i++) {
        room += set->slots[i].entry_count;
        chains += set->slots[i].count;
    }
    set->all = mem_alloc_array(room + 1, sizeof *set->all);
    set->defaults = mem_alloc_array(chains + 1, sizeof *set->defaults);
    set->all_count = set->default_count = 0;
    for (size_t i = 0; i < set->plan->count; i++) {
        set->all[set->all_count++] = &set->slots[i];
        for (size_t j = 0; j < set->slots[i].entry_count; j++)
            set->all[set->all_count++] = &set->slots[i].entries[j];
        for (size_t j = 0; j < set->slots[i].count && *set->slots[i].name == '\0'; j++)
            set->defaults[set->default_count++] = &set->slots[i].chains[j];
    }
    for (size_t i = 0; i < set->all_count; i++)
        add_name(set, set->all[i]);
}

/* Every file's content was used or found wanting: nothing of it need stay but what chains refer to, and what waits for
 * its other half. */
bool store_settle(void)
{
    bool changed = false;
    if (store.next_arena != NULL)
        adopt_plan();
    for (size_t i = 0; i < store.plan.count; i++) {
        struct set *set = &store.sets[i];
        HASH_CLEAR(by_name, set->names); /* its members may go */
        for (size_t j = 0; j < set->plan->count; j++)
            changed = settle_slot(set, &set->slots[j]) || changed;
        index_set(set);
    }
    return changed;
}
