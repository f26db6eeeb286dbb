/* SPDX-License-Identifier: ISC */
/*
 * backend: the authentication services that main.cf and master.cf name. Collected before confinement; a service that asks
 * for another one has been reconfigured meanwhile (or taken over) and gets no answer from it.
 */
#include <string.h>

#include "auth/auth.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/master_cf.h"

static struct backend *backends;
static size_t backend_count;

static struct backend *find(uint8_t type, const char *path, const char *config_path)
{
    for (size_t i = 0; i < backend_count; i++)
        if (backends[i].type == type && strcmp(backends[i].path, path) == 0 &&
            (type == SASL_DOVECOT || strcmp(backends[i].config_path, config_path) == 0))
            return &backends[i];
    return NULL;
}

static void add(const struct config *config)
{
    const char *path = config_string(config, "smtpd_sasl_path");
    const char *config_path = config_string(config, "cyrus_sasl_config_path");
    uint8_t type = strcmp(config_string(config, "smtpd_sasl_type"), "dovecot") == 0 ? SASL_DOVECOT : SASL_CYRUS;
    if (!config_bool(config, "smtpd_sasl_auth_enable") || find(type, path, config_path) != NULL)
        return;
    backends = mem_realloc_array(backends, backend_count + 1, sizeof *backends);
    backends[backend_count++] = (struct backend){
        .type = type,
        .path = mem_strdup(path),
        .config_path = mem_strdup(config_path),
        .driver = type == SASL_DOVECOT ? &dovecot_driver : &cyrus_driver,
        .state = type == SASL_DOVECOT ? dovecot_open(path) : cyrus_open(path, config_path, config),
    };
}

static void add_service(const struct service *service, const struct config *config)
{
    if (strcmp(service->command, "smtpd") != 0)
        return;
    struct config *own = service_config(service, config);
    add(own);
    config_free(own);
}

void backends_open(const struct config *config)
{
    struct service_table services = {0};
    struct config_problems problems = {0};
    if (!master_cf_load(config_directory(config), &services, &problems))
        log_warning("cannot read %s/master.cf: its services' own SASL settings are not known", config_directory(config));
    for (size_t i = 0; i < services.count; i++)
        add_service(&services.services[i], config);
    service_table_free(&services);
    config_problems_free(&problems);
    add(config);
}

struct backend *backend_find(const struct sasl_client *client)
{
    return find(client->type, client->path, client->config_path);
}

/* One with processes stands for all: their rights differ only in what their configuration asks for. */
size_t backends_probe(struct arena *arena, struct probe_result **results)
{
    for (size_t i = 0; i < backend_count; i++)
        if (backends[i].driver->probe != NULL)
            return backends[i].driver->probe(backends[i].state, arena, results);
    return 0;
}
