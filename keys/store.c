/* SPDX-License-Identifier: ISC */
/*
 * store: what keys holds. The supervisor says which files belong together (the plan) and sends their contents; whatever is
 * whole and fits takes the place of what was in use, and what is not leaves it there. A key that was replaced can
 * sign for a while yet: handshakes with the old certificate are under way.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "keys/keys.h"

#define FILE_LIMIT (1024 * 1024)
#define RETIRED_MS (600 * 1000) /* longer than any handshake may take by default */

/* The newest content of one file. */
struct file {
    char *path;
    struct pem_file content;
    UT_hash_handle hh;
};

/* One credential of the plan and what it is now. */
struct slot {
    const struct tls_credential *credential;
    char *label;          /* its files, in words; also its identity across plans */
    struct chain *chains; /* in use; NULL while there are none */
    size_t count;
    char *problem;        /* of the newest files; NULL when they are in use */
    bool is_reported;
    UT_hash_handle by_name, by_label;
};

struct set {
    const struct tls_credential_set *plan;
    struct slot *slots;
    struct slot *names; /* those of server names */
    const struct chain **defaults;
    size_t default_count;
};

struct retired {
    struct retired *next;
    EVP_PKEY *key;
    unsigned char id[KEYS_ID_SIZE];
    char **services;
    size_t service_count;
    int64_t until;
};

static struct {
    struct arena *arena; /* of the plan */
    struct tls_credentials plan;
    struct set *sets;
    struct file *files;
    struct retired *retired;
} store;

/* --- files -------------------------------------------------------------------------------------------- */

static bool read_all(int fd, struct str *text, char **problem)
{
    ssize_t n;
    str_reserve(text, FILE_LIMIT + 1); /* at once: growing would leave copies of a key behind */
    while ((n = read(fd, text->data + text->len, FILE_LIMIT + 1 - text->len)) > 0)
        text->len += (size_t)n;
    if (n < 0)
        *problem = mem_printf("cannot be read: %s", strerror(errno));
    else if (text->len > FILE_LIMIT)
        *problem = mem_strdup("is too large");
    return *problem == NULL;
}

void store_take_file(const char *path, int error, int fd)
{
    struct file *file;
    struct str text = STR_EMPTY;
    char *problem = NULL;
    HASH_FIND_STR(store.files, path, file);
    if (file == NULL) {
        file = mem_alloc(sizeof *file);
        file->path = mem_strdup(path);
        HASH_ADD_KEYPTR(hh, store.files, file->path, strlen(file->path), file);
    }
    pem_free(&file->content);
    if (error != 0)
        problem = mem_printf("cannot be opened: %s", strerror(error));
    if (problem == NULL && read_all(fd, &text, &problem))
        pem_parse(str_slice(&text), &file->content);
    else
        file->content.problem = problem;
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.cap);
    str_free(&text);
    close(fd);
}

/* --- the plan -------------------------------------------------------------------------------------------- */

static char *make_label(const struct tls_credential *credential)
{
    struct str label = STR_EMPTY;
    bool is_one = credential->file_count == 2 && strcmp(credential->files[0], credential->files[1]) == 0;
    for (size_t i = 0; i < (is_one ? 1 : credential->file_count); i++)
        str_printf(&label, "%s%s", i == 0 ? "" : credential->is_pair ? " with key " : ", ", credential->files[i]);
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

static void drop_chains(struct slot *slot)
{
    for (size_t i = 0; i < slot->count; i++)
        chain_free(&slot->chains[i]);
    free(slot->chains);
    slot->chains = NULL;
    slot->count = 0;
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

static void free_sets(struct set *sets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        HASH_CLEAR(by_name, sets[i].names);
        for (size_t j = 0; j < sets[i].plan->count; j++) {
            retire(&sets[i], &sets[i].slots[j]);
            drop_chains(&sets[i].slots[j]);
            free(sets[i].slots[j].label);
            free(sets[i].slots[j].problem);
        }
        free(sets[i].slots);
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
        const char *name = plan->list[i].server_name;
        slot->credential = &plan->list[i];
        slot->label = make_label(slot->credential);
        HASH_FIND(by_label, old, slot->label, strlen(slot->label), found);
        if (found != NULL)
            copy_chains(found, slot);
        HASH_FIND(by_name, set->names, name, strlen(name), found);
        if (*name != '\0' && found == NULL)
            HASH_ADD_KEYPTR(by_name, set->names, name, strlen(name), slot);
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
    struct slot *old = index_labels(store.sets, store.plan.count);
    struct set *sets = mem_alloc_array(plan.count + 1, sizeof *sets);
    for (size_t i = 0; i < plan.count; i++)
        fill_set(&sets[i], &plan.sets[i], old);
    HASH_CLEAR(by_label, old);
    free_sets(store.sets, store.plan.count);
    if (store.arena != NULL)
        arena_free(store.arena);
    store.arena = arena;
    store.plan = plan;
    store.sets = sets;
    return true;
}

/* --- putting together --------------------------------------------------------------------------------------- */

static const struct pem_file *find_file(const char *path, char **problem)
{
    struct file *file;
    HASH_FIND_STR(store.files, path, file);
    if (file == NULL || file->content.problem != NULL) {
        *problem = mem_printf("%s %s", path, file == NULL ? "did not come" : file->content.problem);
        return NULL;
    }
    return &file->content;
}

static bool make_chains(const struct tls_credential *credential, struct chain **chains, size_t *count, char **problem)
{
    bool good = true;
    const struct pem_file **files = mem_alloc_array(credential->file_count, sizeof *files);
    for (size_t i = 0; i < credential->file_count && good; i++)
        good = (files[i] = find_file(credential->files[i], problem)) != NULL;
    if (good && credential->is_pair)
        good = pem_make_pair(files[0], files[1], chains, count, problem);
    else if (good)
        good = pem_make_chains(files, credential->file_count, chains, count, problem);
    free(files);
    return good;
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

/* True when it has new certificates. */
static bool settle_slot(struct set *set, struct slot *slot)
{
    struct slot new = {0};
    char *problem = NULL;
    if (!make_chains(slot->credential, &new.chains, &new.count, &problem)) {
        set_problem(slot, problem);
        return false;
    }
    set_problem(slot, NULL);
    if (is_same(slot, new.chains, new.count)) {
        drop_chains(&new);
        return false;
    }
    if (slot->chains != NULL) {
        retire(set, slot);
        log_info("%s: new certificate in use", slot->label);
    }
    drop_chains(slot);
    slot->chains = new.chains;
    slot->count = new.count;
    return true;
}

static void collect_defaults(struct set *set)
{
    size_t room = 0;
    free(set->defaults);
    for (size_t i = 0; i < set->plan->count; i++)
        room += set->slots[i].count;
    set->defaults = mem_alloc_array(room + 1, sizeof *set->defaults);
    set->default_count = 0;
    for (size_t i = 0; i < set->plan->count; i++)
        for (size_t j = 0; j < set->slots[i].count && *set->slots[i].credential->server_name == '\0'; j++)
            set->defaults[set->default_count++] = &set->slots[i].chains[j];
}

/* Every file's content was used or found wanting: nothing of it need stay but what chains refer to, and what waits for
 * its other half. */
bool store_settle(void)
{
    bool changed = false;
    for (size_t i = 0; i < store.plan.count; i++) {
        for (size_t j = 0; j < store.plan.sets[i].count; j++)
            changed = settle_slot(&store.sets[i], &store.sets[i].slots[j]) || changed;
        collect_defaults(&store.sets[i]);
    }
    return changed;
}

bool store_has_news(void)
{
    for (size_t i = 0; i < store.plan.count; i++)
        for (size_t j = 0; j < store.plan.sets[i].count; j++)
            if (store.sets[i].slots[j].problem != NULL && !store.sets[i].slots[j].is_reported)
                return true;
    return false;
}

void store_report(void)
{
    for (size_t i = 0; i < store.plan.count; i++)
        for (size_t j = 0; j < store.plan.sets[i].count; j++) {
            struct slot *slot = &store.sets[i].slots[j];
            if (slot->problem != NULL && !slot->is_reported)
                log_warning("%s: %s: %s", slot->label, slot->problem,
                            slot->count > 0 ? "the certificate that was there before stays in use"
                                            : "there is no TLS with this certificate");
            slot->is_reported = true;
        }
}

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
        return false;
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
    for (size_t i = 0; set != NULL && i < set->plan->count; i++)
        for (size_t j = 0; j < set->slots[i].count; j++)
            if (memcmp(set->slots[i].chains[j].id, id, KEYS_ID_SIZE) == 0)
                return set->slots[i].chains[j].key;
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
        for (size_t j = 0; j < store.plan.sets[i].count; j++)
            for (size_t k = 0; k < store.sets[i].slots[j].count; k++)
                visit(store.sets[i].slots[j].credential->files[0], store.sets[i].slots[j].chains[k].certificates[0]);
}
