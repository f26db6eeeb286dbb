/* SPDX-License-Identifier: ISC */
/*
 * mysql:/etc/postfix/x.cf -- mysql_table(5), for MySQL and MariaDB. The client library blocks, so each lookup is a job for one of
 * at most eight threads per server; the fiber waits, the loop goes on. What comes from strangers is escaped by the
 * library in the connection's character set. A server that cannot be reached, a failing query and a passed
 * deadline are TABLE_ERROR.
 */
#include <mysql.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/mysql_connection.h"
#include "common/table/table_types.h"

struct mysql_table {
    struct db_config *settings;
    struct worker_pool *pool;
    bool require_result_set;
};

/* How people log in is a module of the library's, loaded at first use; confined, lookup could not do that. */
static void load_login_methods(void)
{
    static const char *const methods[] = {"caching_sha2_password", "sha256_password", "client_ed25519",
                                          "mysql_clear_password", "dialog"};
    static bool done;
    if (done)
        return;
    done = true;
    mysql_library_init(0, NULL, NULL);
    MYSQL *handle = mysql_init(NULL);
    for (size_t i = 0; handle != NULL && i < sizeof methods / sizeof methods[0]; i++)
        (void)mysql_load_plugin(handle, methods[i], -1, 0); /* whoever needs a missing one is told when connecting */
    mysql_close(handle);
}

static const char *get(const struct db_config *settings, const char *parameter)
{
    return db_config_get(settings, parameter, "");
}

static bool read_parameters(const struct db_config *settings, struct mysql_parameters *parameters, bool *require_result_set,
                            char **error)
{
    bool verify;
    *parameters = (struct mysql_parameters){
        .hosts = get(settings, "hosts"),
        .user = get(settings, "user"),
        .password = get(settings, "password"),
        .database = get(settings, "dbname"),
        .charset = db_config_get(settings, "charset", "utf8mb4"),
        .option_file = get(settings, "option_file"),
        .option_group = db_config_get(settings, "option_group", "client"),
        .tls_key_file = get(settings, "tls_key_file"),
        .tls_cert_file = get(settings, "tls_cert_file"),
        .tls_ca_file = get(settings, "tls_CAfile"),
        .tls_ca_path = get(settings, "tls_CApath"),
        .tls_ciphers = get(settings, "tls_ciphers"),
        .tls_verify_cert = -1,
    };
    if (!db_config_bool(settings, "tls_verify_cert", false, &verify, error) ||
        !db_config_bool(settings, "require_result_set", true, require_result_set, error))
        return false;
    if (*get(settings, "tls_verify_cert") != '\0')
        parameters->tls_verify_cert = verify;
    return db_config_number(settings, "retry_interval", 60, 1, &parameters->retry_interval, error) &&
           db_config_number(settings, "idle_interval", 60, 1, &parameters->idle_interval, error);
}

static void *mysql_open(const char *name, const struct config *config, unsigned flags UNUSED, char **error)
{
    struct mysql_parameters parameters;
    bool require_result_set;
    struct db_config *settings = db_config_open("mysql", name, config, error);
    if (settings == NULL || !read_parameters(settings, &parameters, &require_result_set, error)) {
        db_config_close(settings);
        return NULL;
    }
    load_login_methods();
    struct mysql_table *table = mem_alloc(sizeof *table);
    table->settings = settings;
    table->require_result_set = require_result_set;
    table->pool = mysql_pool_open(&parameters);
    return table;
}

static void mysql_close_table(void *data)
{
    struct mysql_table *table = data;
    worker_pool_close(table->pool);
    db_config_close(table->settings);
    free(table);
}

static bool mysql_is_stale(void *data)
{
    struct mysql_table *table = data;
    return db_config_is_stale(table->settings);
}

static struct db_job *make_job(const void *data, struct slice key, int64_t deadline UNUSED)
{
    const struct mysql_table *table = data;
    if (!db_key_suffices(table->settings->query_needs, key))
        return NULL;
    struct mysql_job *job = mem_alloc(sizeof *job);
    struct arena *arena = job->db.arena = arena_new();
    job->spec = arena_strdup(arena, table->settings->spec);
    job->query = arena_strdup(arena, table->settings->query);
    job->query_needs = table->settings->query_needs;
    job->key = slice_range(arena_slice(arena, key), key.len);
    job->require_result_set = table->require_result_set;
    return &job->db;
}

static enum table_status mysql_find(void *data, struct slice key, struct str *value, char **error, int64_t deadline)
{
    const struct mysql_table *table = data;
    struct db_lookup lookup = {table->settings, table->pool, &mysql_worker, make_job};
    return db_job_find(&lookup, table, key, value, error, deadline);
}

const struct table_type table_mysql = {
    .name = "mysql", .waits = true, .open = mysql_open, .close = mysql_close_table, .find = mysql_find,
    .is_stale = mysql_is_stale,
};
