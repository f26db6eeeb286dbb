/* SPDX-License-Identifier: ISC */
/*
 * known_tables: every table that the configuration names, anywhere. A role that asks about another one has been
 * taken over: without this list it could have any file of the machine read out as texthash:. Collected before
 * confinement from main.cf (with its defaults) and from the -o overrides of master.cf.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/master_cf.h"
#include "common/config/parameter.h"
#include "common/table/db_config.h"
#include "common/table/table.h"
#include "lookup/lookup.h"

#define MAX_NESTING 8

struct known_table {
    char *spec;
    UT_hash_handle hh;
};

static struct known_table *known;
static const char **directories;
static size_t directory_count;

static void add_directory(const char *path)
{
    for (size_t i = 0; i < directory_count; i++)
        if (strcmp(directories[i], path) == 0)
            return;
    directories = mem_realloc_array(directories, directory_count + 2, sizeof *directories);
    directories[directory_count++] = mem_strdup(path);
    directories[directory_count] = NULL;
}

/* The file itself may be replaced at any time: it is its directory that must stay readable. */
static void add_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (path[0] != '/' || slash == NULL)
        return;
    char *directory = mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    /* Much that begins with a slash is no file name (a pattern), or a default of a program that is not here. */
    if (access(directory, F_OK) == 0)
        add_directory(directory);
    free(directory);
}

static void add_spec(const char *spec)
{
    struct known_table *table;
    HASH_FIND_STR(known, spec, table);
    if (table != NULL)
        return;
    table = mem_alloc(sizeof *table);
    table->spec = mem_strdup(spec);
    HASH_ADD_KEYPTR(hh, known, table->spec, strlen(table->spec), table);
}

static void add_text(const char *text, unsigned nesting);

/* unionmap:{...}, inline:{...} and restriction lists in braces hold more. */
static void add_nested(const char *text, unsigned nesting)
{
    const char *open = strchr(text, '{'), *close = strrchr(text, '}');
    if (open == NULL || close == NULL || close < open || nesting >= MAX_NESTING)
        return;
    char *inside = mem_strndup(open + 1, (size_t)(close - open - 1));
    add_text(inside, nesting + 1);
    free(inside);
}

/* "/file/name" as a list element. Other parameters hold paths too: directories, and programs. */
static bool is_list_file(const char *item)
{
    struct stat info;
    return item[0] == '/' && stat(item, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) == 0;
}

static void add_item(const char *item, unsigned nesting)
{
    struct slice type;
    const char *name;
    while (*item == '!')
        item++;
    if (is_list_file(item))
        add_directory_of(item);
    if (table_spec_split(item, &type, &name) && table_type_find(type) != NULL) {
        while (strncmp(item, "proxy:", 6) == 0)
            item += 6;
        add_spec(item);
        add_directory_of(name);
    }
    add_nested(item, nesting);
}

static void add_text(const char *text, unsigned nesting)
{
    struct arena *arena = arena_new();
    char **items;
    size_t count = config_split_list(text, arena, &items);
    known_endpoints_collect(items, count, arena);
    for (size_t i = 0; i < count; i++) {
        add_item(items[i], nesting);
        if (strpbrk(items[i], ", \t") != NULL && nesting < MAX_NESTING)
            add_text(items[i], nesting + 1); /* was in braces */
    }
    arena_free(arena);
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

/* Our passwords at other servers are no business of the roles that may ask FIND. Certificates and keys, and a table of them
 * (postmap -F), are only for keys. */
static bool is_secret(const char *parameter)
{
    if (strstr(parameter, "tls_") != NULL && (!has_suffix(parameter, "_maps") || strcmp(parameter, "tls_server_sni_maps") == 0))
        return true;
    return has_suffix(parameter, "_sasl_password_maps");
}

static void add_parameter(const struct config *config, const char *name)
{
    const char *value = is_secret(name) ? NULL : config_string_or_null(config, name);
    if (value != NULL) /* set, or a parameter that has a default */
        add_text(value, 0);
    if (value != NULL && strcmp(name, "smtpd_proxy_filter") == 0) {
        struct arena *arena = arena_new();
        known_endpoints_collect_filter(value, arena);
        arena_free(arena);
    }
}

static void add_configuration(const struct config *config)
{
    for (size_t i = 0; i < parameter_count(); i++)
        if (parameter_at(i)->type == PARAMETER_STRING || parameter_at(i)->type == PARAMETER_RAW)
            add_parameter(config, parameter_at(i)->name);
    for (size_t i = 0; i < config_count(config); i++)
        add_parameter(config, config_name_at(config, i));
}

static void add_overrides(const struct service *service, const struct config *config)
{
    struct config *own = service_config(service, config);
    for (size_t i = 0; i < service->override_count; i++)
        add_parameter(own, service->override_names[i]);
    config_free(own);
}

/* Databases' settings name files that are read when connecting: those of SQLite, options, certificates, keys. */
static void add_files_of(const struct db_config *db)
{
    static const char *const parameters[] = {"dbpath", "option_file", "tls_key_file", "tls_cert_file", "tls_CAfile",
                                             "tls_ca_cert_file", "tls_cert", "tls_key"};
    static const char *const directory_parameters[] = {"tls_CApath", "tls_ca_cert_dir"};
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        add_directory_of(db_config_get(db, parameters[i], ""));
    for (size_t i = 0; i < sizeof directory_parameters / sizeof directory_parameters[0]; i++) {
        const char *directory = db_config_get(db, directory_parameters[i], "");
        if (directory[0] == '/' && access(directory, F_OK) == 0)
            add_directory(directory);
    }
}

static bool is_database(struct slice type)
{
    return slice_equal(type, SLICE("sqlite")) || slice_equal(type, SLICE("mysql")) || slice_equal(type, SLICE("ldap"));
}

static void add_database_files(const struct config *config)
{
    struct known_table *table, *next;
    HASH_ITER (hh, known, table, next) {
        struct slice type;
        const char *name;
        char *error = NULL;
        if (!table_spec_split(table->spec, &type, &name) || !is_database(type))
            continue;
        char *type_name = mem_strndup(type.data, type.len);
        struct db_config *db = db_config_open(type_name, name, config, &error);
        if (db != NULL)
            add_files_of(db);
        db_config_close(db);
        free(type_name);
        free(error);
    }
}

void known_tables_collect(const struct config *config)
{
    struct service_table services = {0};
    struct config_problems problems = {0};
    add_configuration(config);
    if (master_cf_load(config_directory(config), &services, &problems))
        for (size_t i = 0; i < services.count; i++)
            if (services.services[i].override_count > 0)
                add_overrides(&services.services[i], config);
    service_table_free(&services);
    config_problems_free(&problems);
    add_database_files(config);
    add_directory(config_directory(config));
    add_directory("/etc"); /* hosts, resolv.conf, passwd, nsswitch.conf, certificates */
    add_directory("/usr/lib/ssl");
    if (access("/usr/share/ca-certificates", F_OK) == 0)
        add_directory("/usr/share/ca-certificates"); /* where links in /etc/ssl/certs lead */
    add_directory("/usr/share/zoneinfo");
}

bool known_tables_has(const char *spec)
{
    struct known_table *table;
    while (strncmp(spec, "proxy:", 6) == 0)
        spec += 6;
    HASH_FIND_STR(known, spec, table);
    return table != NULL;
}

const char *const *known_tables_directories(void)
{
    return directories;
}
