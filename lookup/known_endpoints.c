/* SPDX-License-Identifier: ISC */
/*
 * known_endpoints: the servers that roles facing strangers may have connected: those that the configuration names as
 * policy services and as filters (smtpd_proxy_filter). A session process that was taken over must not get a way into the network out of this one.
 * Collected beside the tables (known_tables.c), before confinement.
 */
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/mail/policy_spec.h"
#include "lookup/lookup.h"

struct known_endpoint {
    UT_hash_handle hh;
    char endpoint[];
};

static struct known_endpoint *known;

bool known_endpoints_has(const char *endpoint)
{
    struct known_endpoint *found;
    HASH_FIND_STR(known, endpoint, found);
    return found != NULL;
}

static void add(const char *endpoint)
{
    if (known_endpoints_has(endpoint))
        return;
    size_t len = strlen(endpoint);
    struct known_endpoint *new = mem_alloc(sizeof *new + len + 1);
    memcpy(new->endpoint, endpoint, len);
    HASH_ADD_STR(known, endpoint, new);
}

void known_endpoints_collect(char *const *items, size_t count, struct arena *arena)
{
    for (size_t i = 0; i + 1 < count; i++) {
        if (!text_equal_nocase(items[i], "check_policy_service"))
            continue;
        const char *endpoint = policy_spec_endpoint(items[i + 1], arena);
        if (endpoint != NULL) /* what is malformed, smtpd refuses to start with */
            add(endpoint);
    }
}

void known_endpoints_collect_filter(const char *text, struct arena *arena)
{
    const char *endpoint = proxy_filter_endpoint(text, arena);
    if (endpoint != NULL)
        add(endpoint);
}
