/* SPDX-License-Identifier: ISC */
/*
 * config_defaults: the defaults that no table can hold, because they ask the system: the host's name,
 * its networks, the process. Computed when first asked for. A daemon that received its configuration
 * finds those that need the system already there.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/config/config_internal.h"
#include "common/config/main_cf.h"

#define DEFAULT_DOMAIN "localdomain"

const char *const config_system_names[] = {"myhostname", "mydomain", "mynetworks", NULL};

/* The set value of a name, evaluated; NULL when it is not set or cannot be evaluated. */
static const char *set_value(const struct config *config, const char *name)
{
    struct str ignored = STR_EMPTY;
    const char *value =
        config_is_set(config, name) ? config_try_evaluate(config, name, &ignored) : NULL;
    str_free(&ignored);
    return value;
}

/* The host's own name, made fully qualified with mydomain when the system's is a single label. */
static char *compute_myhostname(const struct config *config)
{
    char name[256];
    if (gethostname(name, sizeof name) < 0 || name[0] == '\0')
        return mem_strdup("localhost." DEFAULT_DOMAIN);
    name[sizeof name - 1] = '\0';
    if (strchr(name, '.') != NULL)
        return mem_strdup(name);
    const char *domain = set_value(config, "mydomain");
    return mem_printf("%s.%s", name, domain != NULL ? domain : DEFAULT_DOMAIN);
}

/* myhostname without its first label. */
static char *compute_mydomain(const struct config *config)
{
    const char *hostname = set_value(config, "myhostname");
    if (hostname == NULL)
        hostname = config_system_default(config, "myhostname");
    const char *dot = strchr(hostname, '.');
    return mem_strdup(dot != NULL && dot[1] != '\0' ? dot + 1 : DEFAULT_DOMAIN);
}

static char *compute(const struct config *config, const char *name)
{
    if (strcmp(name, "myhostname") == 0)
        return compute_myhostname(config);
    if (strcmp(name, "mydomain") == 0)
        return compute_mydomain(config);
    if (strcmp(name, "mynetworks") == 0)
        return config_compute_mynetworks(config);
    if (strcmp(name, "process_name") == 0)
        return mem_strdup(program_invocation_short_name);
    if (strcmp(name, "process_id") == 0)
        return mem_printf("%ld", (long)getpid());
    return mem_strdup(""); /* service_name: service_config() sets it */
}

const char *config_system_default(const struct config *config, const char *name)
{
    struct config_cache *cache = config->cache;
    if (strcmp(name, "config_directory") == 0)
        return config->directory;
    const char *known = config_cache_find(cache->system, name);
    if (known != NULL)
        return known;
    /* "mydomain = $myhostname" asks for itself: the answer is empty, not a hang. */
    if (cache->computing >= 3)
        return "";
    cache->computing++;
    char *text = compute(config, name);
    cache->computing--;
    if (config_cache_find(cache->system, name) == NULL)
        config_cache_put(cache, &cache->system, name, text);
    free(text);
    return config_cache_find(cache->system, name);
}

char *config_read_first_line(const char *path)
{
    struct str text = STR_EMPTY;
    char *line = NULL;
    if (config_read_file(path, &text)) {
        struct slice rest = str_slice(&text), first;
        if (slice_next_token(&rest, "\n", &first)) {
            first = slice_trim(first);
            line = mem_strndup(first.data, first.len);
        }
    }
    str_free(&text);
    return line;
}
