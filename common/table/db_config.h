/* SPDX-License-Identifier: ISC */
/*
 * What pgsql:, mysql:, sqlite: and ldap: share: their configuration files (pgsql_table(5) and so on), and the expansion of
 * query and result templates. Pure apart from reading the file.
 */
#ifndef POSTHORN_TABLE_DB_CONFIG_H
#define POSTHORN_TABLE_DB_CONFIG_H

#include "common/config/config.h"
#include "common/table/file_stamp.h"
#include "common/table/match_list.h"

struct db_config {
    char *spec;   /* "pgsql:/etc/postfix/x.cf", for warnings */
    char *path;   /* NULL: parameters are in main.cf, as NAME_parameter */
    struct file_stamp stamp;
    struct arena *arena; /* all texts below */
    struct db_setting *settings;
    size_t setting_count;
    const struct config *main_config;
    const char *name;
    char *query, *result_format; /* ldap: query is the filter */
    char *search_base;           /* ldap only */
    int64_t expansion_limit; /* 0: none */
    struct match_list *domain; /* NULL: any */
    unsigned query_needs, result_needs, base_needs;
};

/* NULL with *error. */
struct db_config *db_config_open(const char *type, const char *name, const struct config *config, char **error);
void db_config_close(struct db_config *db);
bool db_config_is_stale(const struct db_config *db);
/* One of the file's parameters, or fallback. */
const char *db_config_get(const struct db_config *db, const char *parameter, const char *fallback);

/* False with *error: the value is no number in that range, or neither yes nor no. */
bool db_config_number(const struct db_config *db, const char *parameter, int64_t fallback, int64_t lowest, int64_t *number,
                      char **error) MUST_CHECK;
bool db_config_bool(const struct db_config *db, const char *parameter, bool fallback, bool *yes, char **error) MUST_CHECK;

/* TABLE_FOUND when this table wants to be asked about the key: its domain is in the "domain" list. */
enum table_status db_config_wants(struct db_config *db, struct slice key, int64_t deadline) MUST_CHECK;

/* Appends a quoted piece of a key to the query; false when it cannot be quoted. */
typedef bool db_quote(void *context, struct slice text, struct str *out);

enum db_expansion { DB_EXPANDED, DB_SKIPPED, DB_UNQUOTABLE };

/* False: a % that means nothing is in it; Postfix takes that for an error, too. */
bool db_template_is_valid(const char *template);

/* What a template asks of the key and of the value: bits for db_expand(). */
unsigned db_template_needs(const char *template, bool is_result);

/* False: the key lacks a part that the template wants, so nothing is to be asked. */
bool db_key_suffices(unsigned needs, struct slice key);

/*
 * The query for a key, or (is_result) one result value in its format. DB_SKIPPED: the key or value lacks a
 * part that the template wants, so no query is made, or this value is left out.
 */
enum db_expansion db_expand_query(const char *template, unsigned needs, struct slice key, db_quote *quote,
                                    void *context, struct str *out) MUST_CHECK;
enum db_expansion db_expand_result(const char *template, unsigned needs, struct slice value,
                                     struct slice key, struct str *out) MUST_CHECK;

/*
 * Adds one result value to the comma-separated answer. False when expansion_limit is exceeded (a warning was
 * logged): the lookup fails.
 */
bool db_config_add_result(const struct db_config *db, struct slice key, struct slice value, int64_t *count,
                           struct str *answer) MUST_CHECK;

#endif
