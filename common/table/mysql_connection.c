/* SPDX-License-Identifier: ISC */
/*
 * mysql_connection: which host a worker's thread is connected to, and one query there. Called by worker_pool.c on its threads
 * only; the hosts' states are shared by the threads of a pool and locked. A connection that was lost while idle (the
 * server restarted) is replaced and the query repeated once. The server is asked to end a query after QUERY_SECONDS
 * by itself, and the connection is given up then: what nobody waits for any more does not pile up there.
 */
#include "common/table/mysql_connection.h"

#include <errmsg.h>
#include <mysql.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/table/server_hosts.h"

#define CONNECT_SECONDS 5
#define QUERY_SECONDS 30
#define MOST_VALUE_BYTES ((size_t)64 << 20)

struct mysql_server {
    struct arena *arena;
    struct mysql_parameters parameters;
    pthread_mutex_t lock; /* for the hosts */
    pthread_cond_t changed;
    struct server_hosts hosts;
};

struct mysql_connection {
    MYSQL *handle;
    bool used; /* it has answered before: a loss says nothing about the server's present state */
};

/* --- connecting ---------------------------------------------------------------------- */

/* The next host to try, marked as being tried; NULL: there is none, after waiting for others' attempts. */
static struct server_host *take_host(struct mysql_server *server)
{
    struct timespec end;
    struct server_host *host;
    int error = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += CONNECT_SECONDS;
    pthread_mutex_lock(&server->lock);
    while ((host = server_hosts_choose(&server->hosts)) == NULL && server_hosts_connecting(&server->hosts) && error == 0)
        error = pthread_cond_timedwait(&server->changed, &server->lock, &end);
    if (host != NULL)
        host->connecting++;
    pthread_mutex_unlock(&server->lock);
    return host;
}

static void settle_host(struct mysql_server *server, struct server_host *host, bool reached)
{
    pthread_mutex_lock(&server->lock);
    host->connecting--;
    if (reached)
        server_host_reached(host);
    else
        server_host_failed(host, server->parameters.retry_interval * 1000);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void set_tls(MYSQL *handle, const struct mysql_parameters *parameters)
{
    if (*parameters->tls_key_file != '\0')
        mysql_options(handle, MYSQL_OPT_SSL_KEY, parameters->tls_key_file);
    if (*parameters->tls_cert_file != '\0')
        mysql_options(handle, MYSQL_OPT_SSL_CERT, parameters->tls_cert_file);
    if (*parameters->tls_ca_file != '\0')
        mysql_options(handle, MYSQL_OPT_SSL_CA, parameters->tls_ca_file);
    if (*parameters->tls_ca_path != '\0')
        mysql_options(handle, MYSQL_OPT_SSL_CAPATH, parameters->tls_ca_path);
    if (*parameters->tls_ciphers != '\0')
        mysql_options(handle, MYSQL_OPT_SSL_CIPHER, parameters->tls_ciphers);
    if (parameters->tls_verify_cert >= 0) {
        my_bool verify = parameters->tls_verify_cert > 0;
        mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    }
}

static void set_options(MYSQL *handle, const struct mysql_parameters *parameters)
{
    unsigned connect_seconds = CONNECT_SECONDS, query_seconds = QUERY_SECONDS + 5;
    if (*parameters->option_file != '\0')
        mysql_options(handle, MYSQL_READ_DEFAULT_FILE, parameters->option_file);
    if (*parameters->option_group != '\0')
        mysql_options(handle, MYSQL_READ_DEFAULT_GROUP, parameters->option_group);
    mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &connect_seconds);
    mysql_options(handle, MYSQL_OPT_READ_TIMEOUT, &query_seconds);
    mysql_options(handle, MYSQL_OPT_WRITE_TIMEOUT, &query_seconds);
    set_tls(handle, parameters);
}

/* MariaDB's way, else MySQL's; a server that knows neither goes without. */
static void limit_queries(MYSQL *handle)
{
    char *mariadb = mem_printf("SET SESSION max_statement_time = %d", QUERY_SECONDS);
    char *mysql = mem_printf("SET SESSION max_execution_time = %d", QUERY_SECONDS * 1000);
    if (mysql_query(handle, mariadb) != 0)
        (void)mysql_query(handle, mysql);
    free(mariadb);
    free(mysql);
}

static const char *null_if_empty(const char *text)
{
    return *text != '\0' ? text : NULL; /* then the option file may say it */
}

static MYSQL *connect_to(const struct server_host *host, const struct mysql_parameters *parameters, struct worker_job *job)
{
    MYSQL *handle = mysql_init(NULL);
    if (handle == NULL)
        mem_exhausted(0);
    set_options(handle, parameters);
    unsigned port = host->port != NULL ? (unsigned)atoi(host->port) : 0;
    if (mysql_real_connect(handle, host->is_unix ? NULL : host->name, null_if_empty(parameters->user),
                           null_if_empty(parameters->password), null_if_empty(parameters->database), port,
                           host->is_unix ? host->name : NULL, CLIENT_MULTI_RESULTS) == NULL)
        worker_job_complain(job, "connect to mysql server %s: %s", host->text, mysql_error(handle));
    else if (*parameters->charset != '\0' && mysql_set_character_set(handle, parameters->charset) != 0)
        worker_job_complain(job, "mysql server %s: character set \"%s\": %s", host->text, parameters->charset,
                            mysql_error(handle));
    else {
        limit_queries(handle);
        return handle;
    }
    mysql_close(handle);
    return NULL;
}

static struct mysql_connection *connect_somewhere(struct mysql_server *server, struct worker_job *job)
{
    struct server_host *host;
    while ((host = take_host(server)) != NULL) {
        MYSQL *handle = connect_to(host, &server->parameters, job);
        settle_host(server, host, handle != NULL);
        if (handle == NULL)
            continue;
        struct mysql_connection *connection = mem_alloc(sizeof *connection);
        connection->handle = handle;
        return connection;
    }
    return NULL;
}

static void connection_close(void *data)
{
    struct mysql_connection *connection = data;
    mysql_close(connection->handle);
    free(connection);
    mysql_thread_end();
}

/* --- one query ------------------------------------------------------------------------ */

/* The server's own function: what must be escaped depends on the connection's character set and mode. */
static bool escape(void *context, struct slice text, struct str *out)
{
    str_reserve(out, text.len * 2 + 1);
    unsigned long len = mysql_real_escape_string(context, out->data + out->len, text.data != NULL ? text.data : "", text.len);
    if (len == (unsigned long)-1)
        return false;
    out->len += len;
    out->data[out->len] = '\0';
    return true;
}

static bool keep_rows(struct mysql_job *job, MYSQL_RES *result)
{
    size_t columns = mysql_num_fields(result);
    size_t rows = (size_t)mysql_num_rows(result);
    MYSQL_ROW row;
    job->db.values = arena_alloc_array(job->db.arena, rows * columns + 1, sizeof *job->db.values);
    job->db.value_count = 0;
    while ((row = mysql_fetch_row(result)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        for (size_t i = 0; i < columns; i++) {
            if (row[i] == NULL)
                continue;
            struct slice value = slice_range(row[i], strnlen(row[i], lengths[i]));
            job->db.values[job->db.value_count++] = slice_range(arena_slice(job->db.arena, value), value.len);
        }
        if (arena_used(job->db.arena) > MOST_VALUE_BYTES)
            return false;
    }
    return true;
}

/* All results must be taken, or the connection is out of step; the first one that has rows counts. NULL: all is well. */
static const char *read_results(struct mysql_job *job, MYSQL *handle)
{
    const char *problem = NULL;
    bool has_result = false;
    int next;
    do {
        MYSQL_RES *result = mysql_store_result(handle);
        if (result != NULL && has_result && problem == NULL)
            problem = "multiple result sets returning data are not supported";
        else if (result != NULL && !has_result && !keep_rows(job, result))
            problem = "the result is too large";
        else if (result == NULL && mysql_field_count(handle) != 0 && problem == NULL)
            problem = arena_strdup(job->db.arena, mysql_error(handle));
        has_result = has_result || result != NULL;
        mysql_free_result(result);
        next = mysql_next_result(handle);
    } while (next == 0);
    if (next > 0 && problem == NULL)
        problem = arena_strdup(job->db.arena, mysql_error(handle));
    if (!has_result && job->require_result_set && problem == NULL)
        problem = "query returned no result set (require_result_set = yes)";
    return problem;
}

static bool is_lost(unsigned error)
{
    return error == CR_SERVER_GONE_ERROR || error == CR_SERVER_LOST;
}

enum attempt { ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_STALE };

/* On this connection. STALE: it had been lost before, and another one may do. */
static enum attempt ask(struct mysql_job *job, struct mysql_connection *connection)
{
    struct str query = STR_EMPTY;
    MYSQL *handle = connection->handle;
    const char *problem = NULL;
    bool stale = false;
    if (db_expand_query(job->query, job->query_needs, job->key, escape, handle, &query) != DB_EXPANDED) {
        problem = "cannot escape input string";
    } else if (mysql_real_query(handle, query.data, query.len) != 0) {
        stale = connection->used && is_lost(mysql_errno(handle));
        problem = arena_strdup(job->db.arena, mysql_error(handle));
    } else {
        problem = read_results(job, handle);
    }
    if (problem != NULL && !stale)
        worker_job_complain(&job->db.job, "%s: query failed: %s", job->spec, problem);
    connection->used = true;
    str_free(&query);
    return problem == NULL ? ATTEMPT_DONE : stale ? ATTEMPT_STALE : ATTEMPT_FAILED;
}

static void run(void **connection, void *shared, struct worker_job *job)
{
    struct mysql_job *own = (struct mysql_job *)job;
    enum attempt attempt = ATTEMPT_STALE;
    own->db.answered = false;
    mysql_thread_init();
    while (attempt == ATTEMPT_STALE) {
        if (*connection == NULL)
            *connection = connect_somewhere(shared, job);
        if (*connection == NULL)
            return;
        attempt = ask(own, *connection);
        if (attempt == ATTEMPT_DONE) {
            own->db.answered = true;
        } else { /* nobody knows what it is in the middle of */
            connection_close(*connection);
            *connection = NULL;
        }
    }
}

/* --- the pool ------------------------------------------------------------------------- */

static void free_job(struct worker_job *job)
{
    struct mysql_job *own = (struct mysql_job *)job;
    arena_free(own->db.arena);
    free(own);
}

static void free_server(void *shared)
{
    struct mysql_server *server = shared;
    mem_wipe((char *)(uintptr_t)server->parameters.password, strlen(server->parameters.password));
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    arena_free(server->arena);
    free(server);
}

const struct worker_kind mysql_worker = {
    .run = run, .close = connection_close, .free_job = free_job, .free_shared = free_server,
};

static struct mysql_server *server_new(const struct mysql_parameters *from)
{
    struct mysql_server *server = mem_alloc(sizeof *server);
    struct mysql_parameters *to = &server->parameters;
    const char **texts[] = {&to->hosts, &to->user, &to->password, &to->database, &to->charset, &to->option_file,
                            &to->option_group, &to->tls_key_file, &to->tls_cert_file, &to->tls_ca_file, &to->tls_ca_path,
                            &to->tls_ciphers};
    server->arena = arena_new();
    *to = *from;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = arena_strdup(server->arena, *texts[i]);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    server_hosts_parse(&server->hosts, to->hosts, server->arena);
    return server;
}

struct worker_pool *mysql_pool_open(const struct mysql_parameters *p)
{
    char *key = mem_printf("%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%d\n%lld %lld", p->hosts, p->user, p->password,
                           p->database, p->charset, p->option_file, p->option_group, p->tls_key_file, p->tls_cert_file,
                           p->tls_ca_file, p->tls_ca_path, p->tls_ciphers, p->tls_verify_cert,
                           (long long)p->retry_interval, (long long)p->idle_interval);
    struct worker_pool *pool = worker_pool_find(&mysql_worker, key);
    if (pool == NULL)
        pool = worker_pool_new(&mysql_worker, key, server_new(p), p->idle_interval);
    mem_wipe(key, strlen(key));
    free(key);
    return pool;
}
