/* SPDX-License-Identifier: ISC */
/*
 * What SQL tables share: pgsql_table(5)'s and sqlite_table(5)'s configuration files, and the expansion of their
 * query and result templates. Pure apart from reading the file.
 */
#ifndef POSTHORN_TABLE_SQL_CONFIG_H
#define POSTHORN_TABLE_SQL_CONFIG_H

#include "common/config/config.h"
#include "common/table/file_stamp.h"
#include "common/table/match_list.h"

struct sql_config {
    char *spec;   /* "pgsql:/etc/postfix/x.cf", for warnings */
    char *path;   /* NULL: parameters are in main.cf, as NAME_parameter */
    struct file_stamp stamp;
    struct arena *arena; /* all texts below */
    struct sql_setting *settings;
    size_t setting_count;
    const struct config *main_config;
    const char *name;
    char *query, *result_format;
    int64_t expansion_limit; /* 0: none */
    struct match_list *domain; /* NULL: any */
    unsigned query_needs, result_needs;
};

/* NULL with *error. */
struct sql_config *sql_config_open(const char *type, const char *name, const struct config *config, char **error);
void sql_config_close(struct sql_config *sql);
bool sql_config_is_stale(const struct sql_config *sql);
/* One of the file's parameters, or fallback. */
const char *sql_config_get(const struct sql_config *sql, const char *parameter, const char *fallback);

/* TABLE_FOUND when this table wants to be asked about the key: its domain is in the "domain" list. */
enum table_status sql_config_wants(struct sql_config *sql, struct slice key, int64_t deadline) MUST_CHECK;

/* Appends a quoted piece of a key to the query; false when it cannot be quoted. */
typedef bool sql_quote(void *context, struct slice text, struct str *out);

enum sql_expansion { SQL_EXPANDED, SQL_SKIPPED, SQL_UNQUOTABLE };

/* What a template asks of the key and of the value: bits for sql_expand(). */
unsigned sql_template_needs(const char *template, bool is_result);

/*
 * The query for a key, or (is_result) one result value in its format. SQL_SKIPPED: the key or value lacks a
 * part that the template wants, so no query is made, or this value is left out.
 */
enum sql_expansion sql_expand_query(const char *template, unsigned needs, struct slice key, sql_quote *quote,
                                    void *context, struct str *out) MUST_CHECK;
enum sql_expansion sql_expand_result(const char *template, unsigned needs, struct slice value,
                                     struct slice key, struct str *out) MUST_CHECK;

/*
 * Adds one result value to the comma-separated answer. False when expansion_limit is exceeded (a warning was
 * logged): the lookup fails.
 */
bool sql_config_add_result(const struct sql_config *sql, struct slice key, struct slice value, int64_t *count,
                           struct str *answer) MUST_CHECK;

#endif
