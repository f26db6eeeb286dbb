/* SPDX-License-Identifier: ISC */
/*
 * ldap:/etc/postfix/x.cf -- ldap_table(5). The client library blocks, so each lookup is a job for one of at most eight threads per
 * server; the fiber waits, the loop goes on. What comes from strangers is quoted for the filter or the name it goes
 * into. A server that cannot be reached, a failing search and a passed deadline are TABLE_ERROR.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/ldap_quote.h"
#include "common/table/ldap_table.h"
#include "common/table/table_types.h"

struct ldap_table {
    struct db_config *settings;
    struct ldap_search *search;
    struct worker_pool *pool;
};

/* --- settings ----------------------------------------------------------------------- */

static const char *get(const struct db_config *settings, const char *parameter)
{
    return db_config_get(settings, parameter, "");
}

/* The library wants URLs; "host" and "host:port" were enough once. */
static bool read_hosts(const struct db_config *settings, struct ldap_server *server, char **error)
{
    struct str uris = STR_EMPTY;
    char **items;
    int64_t port;
    if (!db_config_number(settings, "server_port", LDAP_PORT, 1, &port, error))
        return false;
    size_t count = config_split_list(db_config_get(settings, "server_host", "localhost"), settings->arena, &items);
    for (size_t i = 0; i < count; i++) {
        const char *space = i > 0 ? " " : "";
        if (ldap_is_ldap_url(items[i]))
            str_printf(&uris, "%s%s", space, items[i]);
        else if (strchr(items[i], ':') != NULL)
            str_printf(&uris, "%sldap://%s", space, items[i]);
        else
            str_printf(&uris, "%sldap://%s:%d", space, items[i], (int)port);
        server->uses_tls = server->uses_tls || strncasecmp(items[i], "ldaps:", 6) == 0;
    }
    server->uris = arena_slice(settings->arena, str_slice(&uris));
    str_free(&uris);
    return true;
}

static bool read_bind(const struct db_config *settings, struct ldap_server *server, char **error)
{
    const char *bind = db_config_get(settings, "bind", "yes");
    server->bind_dn = get(settings, "bind_dn");
    server->bind_password = get(settings, "bind_pw");
    server->sasl_mechanisms = get(settings, "sasl_mechs");
    server->sasl_realm = get(settings, "sasl_realm");
    server->sasl_authz_id = get(settings, "sasl_authz_id");
    if (text_equal_nocase(bind, "no") || text_equal_nocase(bind, "none")) {
        server->bind = LDAP_BIND_NONE;
    } else if (text_equal_nocase(bind, "yes") || text_equal_nocase(bind, "simple")) {
        server->bind = LDAP_BIND_SIMPLE;
    } else if (text_equal_nocase(bind, "sasl")) {
        server->bind = LDAP_BIND_SASL;
    } else {
        *error = mem_printf("%s: unsupported bind = %s", settings->spec, bind);
        return false;
    }
    return db_config_number(settings, "sasl_minssf", 0, 0, &server->sasl_minssf, error);
}

static bool read_tls(const struct db_config *settings, struct ldap_server *server, char **error)
{
    server->tls_ca_dir = get(settings, "tls_ca_cert_dir");
    server->tls_ca_file = get(settings, "tls_ca_cert_file");
    server->tls_cert = get(settings, "tls_cert");
    server->tls_key = get(settings, "tls_key");
    server->tls_random_file = get(settings, "tls_random_file");
    server->tls_ciphers = get(settings, "tls_cipher_suite");
    if (!db_config_bool(settings, "start_tls", false, &server->start_tls, error) ||
        !db_config_bool(settings, "tls_require_cert", false, &server->tls_require_cert, error))
        return false;
    if (server->start_tls && server->uses_tls) {
        *error = mem_printf("%s: start_tls = yes and an ldaps: URL exclude each other", settings->spec);
        return false;
    }
    server->uses_tls = server->uses_tls || server->start_tls;
    return true;
}

static bool read_server(const struct db_config *settings, struct ldap_server *server, char **error)
{
    int64_t referrals;
    *server = (struct ldap_server){.bind = LDAP_BIND_SIMPLE};
    if (!read_hosts(settings, server, error) || !read_bind(settings, server, error) || !read_tls(settings, server, error) ||
        !db_config_number(settings, "version", 3, 2, &server->version, error) ||
        !db_config_number(settings, "timeout", 10, 1, &server->timeout, error) ||
        !db_config_number(settings, "dereference", 0, 0, &server->dereference, error) ||
        !db_config_number(settings, "chase_referrals", 0, 0, &referrals, error))
        return false;
    server->chase_referrals = referrals != 0;
    if (server->version > 3 || server->dereference > 3) {
        *error = mem_printf("%s: version = %d, dereference = %d: no such value", settings->spec, (int)server->version,
                            (int)server->dereference);
        return false;
    }
    if (server->version < 3 && (server->uses_tls || server->bind == LDAP_BIND_SASL)) {
        *error = mem_printf("%s: TLS and SASL need version = 3", settings->spec);
        return false;
    }
    return true;
}

static int read_scope(const struct db_config *settings)
{
    const char *scope = db_config_get(settings, "scope", "sub");
    if (text_equal_nocase(scope, "one"))
        return LDAP_SCOPE_ONELEVEL;
    if (text_equal_nocase(scope, "base"))
        return LDAP_SCOPE_BASE;
    if (!text_equal_nocase(scope, "sub"))
        log_warning("%s: Unrecognized value %s specified for scope; using sub", settings->spec, scope);
    return LDAP_SCOPE_SUBTREE;
}

static size_t add_attributes(struct ldap_search *search, const char *list, size_t at)
{
    char **items;
    size_t count = config_split_list(list, search->arena, &items);
    search->attributes = mem_realloc_array(search->attributes, at + count + 1, sizeof *search->attributes);
    for (size_t i = 0; i < count; i++)
        search->attributes[at + i] = items[i];
    search->attributes[at + count] = NULL;
    return count;
}

static void read_attributes(const struct db_config *settings, struct ldap_search *search)
{
    search->terminal = add_attributes(search, get(settings, "terminal_result_attribute"), 0);
    search->leaf = add_attributes(search, get(settings, "leaf_result_attribute"), search->terminal);
    search->ordinary = add_attributes(search, db_config_get(settings, "result_attribute", "maildrop"),
                                      search->terminal + search->leaf);
    size_t count = search->terminal + search->leaf + search->ordinary;
    search->special = add_attributes(search, get(settings, "special_result_attribute"), count);
    count += search->special;
    char **attributes = arena_alloc_array(search->arena, count + 1, sizeof *attributes);
    memcpy(attributes, search->attributes, (count + 1) * sizeof *attributes);
    free(search->attributes);
    search->attributes = attributes;
}

static struct ldap_search *search_new(const struct db_config *settings, int64_t timeout, char **error)
{
    struct ldap_search *search = mem_alloc(sizeof *search);
    atomic_init(&search->holders, 1);
    search->arena = arena_new();
    search->spec = arena_strdup(search->arena, settings->spec);
    search->scope = read_scope(settings);
    search->timeout = timeout;
    search->base_depends_on_key = settings->base_needs != 0 || strstr(settings->search_base, "%s") != NULL ||
                                  strstr(settings->search_base, "%S") != NULL;
    read_attributes(settings, search);
    if (db_config_number(settings, "size_limit", settings->expansion_limit, 0, &search->size_limit, error) &&
        db_config_number(settings, "recursion_limit", 1000, 1, &search->recursion_limit, error))
        return search;
    ldap_search_release(search);
    return NULL;
}

static void warn_of_ignored(const struct db_config *settings)
{
    static const char *const names[] = {"cache", "cache_expiry", "cache_size", "debuglevel"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (db_config_get(settings, names[i], NULL) != NULL && strcmp(get(settings, names[i]), "0") != 0)
            log_warning("%s: %s ignored", settings->spec, names[i]);
}

static void *ldap_open_table(const char *name, const struct config *config, unsigned flags UNUSED, char **error)
{
    struct db_config *settings = db_config_open("ldap", name, config, error);
    struct ldap_server server;
    struct ldap_search *search = NULL;
    if (settings != NULL && read_server(settings, &server, error))
        search = search_new(settings, server.timeout, error);
    if (search == NULL) {
        db_config_close(settings);
        return NULL;
    }
    warn_of_ignored(settings);
    struct ldap_table *table = mem_alloc(sizeof *table);
    table->settings = settings;
    table->search = search;
    table->pool = ldap_pool_open(&server);
    return table;
}

static void ldap_close_table(void *data)
{
    struct ldap_table *table = data;
    worker_pool_close(table->pool);
    ldap_search_release(table->search);
    db_config_close(table->settings);
    free(table);
}

static bool ldap_is_stale(void *data)
{
    struct ldap_table *table = data;
    return db_config_is_stale(table->settings);
}

/* --- a lookup ------------------------------------------------------------------------- */

static const char *expand(struct arena *arena, const char *template, unsigned needs, struct slice key, db_quote *quote)
{
    struct str text = STR_EMPTY;
    bool ok = db_expand_query(template, needs, key, quote, NULL, &text) == DB_EXPANDED;
    const char *copy = ok ? arena_slice(arena, str_slice(&text)) : NULL;
    str_free(&text);
    return copy;
}

static struct db_job *make_job(const void *data, struct slice key, int64_t deadline)
{
    const struct ldap_table *table = data;
    const struct db_config *settings = table->settings;
    struct arena *arena = arena_new();
    const char *base = expand(arena, settings->search_base, settings->base_needs, key, ldap_quote_dn);
    const char *filter = expand(arena, settings->query, settings->query_needs, key, ldap_quote_filter);
    if (base == NULL || filter == NULL) {
        arena_free(arena);
        return NULL;
    }
    struct ldap_job *job = mem_alloc(sizeof *job);
    job->db.arena = arena;
    job->base = base;
    job->filter = filter;
    job->deadline = deadline;
    job->search = table->search;
    atomic_fetch_add(&job->search->holders, 1);
    return &job->db;
}

static enum table_status ldap_find(void *data, struct slice key, struct str *value, char **error, int64_t deadline)
{
    const struct ldap_table *table = data;
    struct db_lookup lookup = {table->settings, table->pool, &ldap_worker, make_job};
    return db_job_find(&lookup, table, key, value, error, deadline);
}

const struct table_type table_ldap = {
    .name = "ldap", .waits = true, .open = ldap_open_table, .close = ldap_close_table, .find = ldap_find,
    .is_stale = ldap_is_stale,
};
