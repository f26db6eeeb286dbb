/* SPDX-License-Identifier: ISC */
/*
 * ldap_search: one lookup's searches, on a worker's thread. What an entry has in special attributes (members' names, LDAP
 * URLs) is searched in turn, depth first, in the order in which the server gave it. Nesting, the number of values, their
 * size and the time are bounded; nothing recurses.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/table/ldap_quote.h"
#include "common/table/ldap_table.h"

#define MOST_BYTES ((size_t)64 << 20)

/* What one search gave, in order. */
struct item {
    struct slice text;
    bool is_reference; /* a name or URL to search for */
    struct item *next;
};

/* The search that an item of the level above asked for. */
struct level {
    struct item *next;
    struct level *above;
};

struct walk {
    LDAP *handle;
    struct ldap_job *job;
    const struct ldap_search *search;
    struct level *level;
    int64_t depth;
};

void ldap_search_release(struct ldap_search *search)
{
    if (atomic_fetch_sub(&search->holders, 1) > 1)
        return;
    arena_free(search->arena);
    free(search);
}

/* --- one entry -------------------------------------------------------------------------- */

/* Whether the entry has values in any of these attributes. */
static bool has_values(const struct walk *walk, LDAPMessage *entry, size_t first, size_t count)
{
    bool found = false;
    for (size_t i = first; i < first + count && !found; i++) {
        struct berval **values = ldap_get_values_len(walk->handle, entry, walk->search->attributes[i]);
        found = ldap_count_values_len(values) > 0;
        ldap_value_free_len(values);
    }
    return found;
}

enum use { USE_NOT, USE_VALUE, USE_REFERENCE };

static enum use use_of(const struct ldap_search *search, const char *attribute, bool is_terminal, bool is_leaf)
{
    size_t index = 0, no_special = search->terminal + search->leaf + search->ordinary;
    while (search->attributes[index] != NULL && ldap_compare_attributes(search->attributes[index], attribute) <= 0)
        index++;
    if (search->attributes[index] == NULL)
        return USE_NOT;
    if (is_terminal)
        return index < search->terminal ? USE_VALUE : USE_NOT;
    if (index >= no_special)
        return USE_REFERENCE;
    return !is_leaf && index < search->terminal + search->leaf ? USE_NOT : USE_VALUE;
}

static void add_items(struct walk *walk, struct berval **values, enum use use, struct item ***end)
{
    for (size_t i = 0; values != NULL && values[i] != NULL; i++) {
        struct item *item = arena_alloc(walk->job->db.arena, sizeof *item);
        struct slice text = slice_range(values[i]->bv_val, strnlen(values[i]->bv_val, values[i]->bv_len));
        item->text = slice_range(arena_slice(walk->job->db.arena, text), text.len);
        item->is_reference = use == USE_REFERENCE;
        **end = item;
        *end = &item->next;
    }
}

static void take_entry(struct walk *walk, LDAPMessage *entry, struct item ***end)
{
    const struct ldap_search *search = walk->search;
    BerElement *position = NULL;
    bool is_terminal = has_values(walk, entry, 0, search->terminal);
    bool is_leaf = is_terminal || search->leaf == 0 ||
                   !has_values(walk, entry, search->terminal + search->leaf + search->ordinary, search->special);
    for (char *name = ldap_first_attribute(walk->handle, entry, &position); name != NULL;
         name = ldap_next_attribute(walk->handle, entry, position)) {
        enum use use = use_of(search, name, is_terminal, is_leaf);
        if (use != USE_NOT) {
            struct berval **values = ldap_get_values_len(walk->handle, entry, name);
            add_items(walk, values, use, end);
            ldap_value_free_len(values);
        }
        ldap_memfree(name);
    }
    ber_free(position, 0);
}

/* --- one search --------------------------------------------------------------------------- */

/* LDAP_SUCCESS: its items are the newest level. */
static int search_once(struct walk *walk, const char *base, int scope, const char *filter, char **attributes)
{
    struct timeval timeout = {.tv_sec = walk->search->timeout};
    int limit = walk->search->size_limit > 0 ? (int)walk->search->size_limit : LDAP_NO_LIMIT;
    LDAPMessage *result = NULL;
    int code = ldap_search_ext_s(walk->handle, base, scope, filter, attributes, 0, NULL, NULL, &timeout, limit, &result);
    if (code == LDAP_SUCCESS) {
        struct level *level = arena_alloc(walk->job->db.arena, sizeof *level);
        struct item **end = &level->next;
        for (LDAPMessage *entry = ldap_first_entry(walk->handle, result); entry != NULL;
             entry = ldap_next_entry(walk->handle, entry))
            take_entry(walk, entry, &end);
        level->above = walk->level;
        walk->level = level;
        walk->depth++;
    }
    ldap_msgfree(result);
    return code;
}

static enum ldap_outcome explain(const struct walk *walk, int code)
{
    const char *spec = walk->search->spec;
    if (code == LDAP_NO_SUCH_OBJECT) {
        worker_job_complain(&walk->job->db.job, "%s: Search base '%s' not found: %d: %s", spec, walk->job->base, code,
                            ldap_err2string(code));
        return LDAP_OUTCOME_FAILED;
    }
    worker_job_complain(&walk->job->db.job, "%s: Search error %d: %s", spec, code, ldap_err2string(code));
    return code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR || code == LDAP_UNAVAILABLE ? LDAP_OUTCOME_LOST
                                                                                                : LDAP_OUTCOME_FAILED;
}

/* What both the URL and the table want, the more specific description of each; NULL: nothing. */
static char **attributes_for(const struct walk *walk, char *const *of_url)
{
    size_t count = 0, most = 0;
    if (of_url == NULL || of_url[0] == NULL)
        return walk->search->attributes;
    while (of_url[most] != NULL)
        most++;
    size_t own = walk->search->terminal + walk->search->leaf + walk->search->ordinary + walk->search->special;
    char **wanted = arena_alloc_array(walk->job->db.arena, most * own + 1, sizeof *wanted);
    for (size_t i = 0; i < most; i++) {
        for (size_t k = 0; k < own; k++) {
            int relation = ldap_compare_attributes(of_url[i], walk->search->attributes[k]);
            if (relation != 0)
                wanted[count++] = arena_strdup(walk->job->db.arena, relation > 0 ? walk->search->attributes[k] : of_url[i]);
        }
    }
    return count > 0 ? wanted : NULL;
}

static int search_url(struct walk *walk, const char *text)
{
    LDAPURLDesc *url = NULL;
    if (ldap_url_parse(text, &url) != LDAP_URL_SUCCESS) {
        worker_job_complain(&walk->job->db.job, "%s: malformed URL %s", walk->search->spec, text);
        return LDAP_PARAM_ERROR;
    }
    char **attributes = attributes_for(walk, url->lud_attrs);
    int code = LDAP_SUCCESS;
    if (attributes != NULL) {
        const char *filter = url->lud_filter != NULL ? url->lud_filter : "(objectclass=*)";
        code = search_once(walk, url->lud_dn != NULL ? url->lud_dn : "", url->lud_scope, filter, attributes);
    }
    ldap_free_urldesc(url);
    return code;
}

static bool follow(struct walk *walk, const char *reference, enum ldap_outcome *outcome)
{
    *outcome = LDAP_OUTCOME_FAILED;
    if (walk->depth >= walk->search->recursion_limit) {
        worker_job_complain(&walk->job->db.job, "%s: Recursion limit exceeded for special attribute value %s",
                            walk->search->spec, reference);
        return false;
    }
    int code = ldap_is_ldap_url(reference)
                   ? search_url(walk, reference)
                   : search_once(walk, reference, LDAP_SCOPE_BASE, "(objectclass=*)", walk->search->attributes);
    if (code == LDAP_NO_SUCH_OBJECT) /* as if it were there and had nothing to say */
        worker_job_complain(&walk->job->db.job, "%s: DN %s not found, skipping", walk->search->spec, reference);
    else if (code != LDAP_SUCCESS)
        *outcome = explain(walk, code);
    return code == LDAP_SUCCESS || code == LDAP_NO_SUCH_OBJECT;
}

static void add_value(struct ldap_job *job, struct slice text)
{
    if (job->db.value_count == job->value_room) {
        job->value_room = job->value_room * 2 + 8;
        job->db.values = mem_realloc_array(job->db.values, job->value_room, sizeof *job->db.values);
    }
    job->db.values[job->db.value_count++] = text;
}

static bool within_bounds(const struct walk *walk)
{
    const char *what = clock_ms() >= walk->job->deadline ? "timeout"
                       : arena_used(walk->job->db.arena) > MOST_BYTES ? "the result is too large"
                                                                   : NULL;
    if (what != NULL)
        worker_job_complain(&walk->job->db.job, "%s: %s", walk->search->spec, what);
    return what == NULL;
}

enum ldap_outcome ldap_search_run(LDAP *handle, struct ldap_job *job)
{
    struct walk walk = {.handle = handle, .job = job, .search = job->search};
    enum ldap_outcome outcome;
    int code = search_once(&walk, job->base, job->search->scope, job->filter, job->search->attributes);
    if (code == LDAP_NO_SUCH_OBJECT && job->search->base_depends_on_key)
        return LDAP_OUTCOME_ANSWER;
    if (code != LDAP_SUCCESS)
        return explain(&walk, code);
    while (walk.level != NULL) {
        struct item *item = walk.level->next;
        if (item == NULL) {
            walk.level = walk.level->above;
            walk.depth--;
            continue;
        }
        walk.level->next = item->next;
        if (!within_bounds(&walk))
            return LDAP_OUTCOME_FAILED;
        if (!item->is_reference)
            add_value(job, item->text);
        else if (!follow(&walk, item->text.data, &outcome))
            return outcome;
    }
    return LDAP_OUTCOME_ANSWER;
}
