/* SPDX-License-Identifier: ISC */
/*
 * db_job: the way of one lookup from a fiber to a worker's thread and back. Called by mysql.c and ldap.c; no rights of its own.
 * A thread that does not answer in time and one that complained are TABLE_ERROR.
 */
#include "common/table/db_job.h"

#include "common/base/mem.h"
#include "common/table/utf8.h"

static enum table_status collect(const struct db_config *settings, const struct db_job *job, struct slice key, struct str *value)
{
    struct str answer = STR_EMPTY;
    int64_t count = 0;
    enum table_status status = job->answered ? TABLE_NOT_FOUND : TABLE_ERROR;
    for (size_t i = 0; status != TABLE_ERROR && i < job->value_count; i++)
        if (!db_config_add_result(settings, key, job->values[i], &count, &answer))
            status = TABLE_ERROR;
    if (status != TABLE_ERROR && answer.len > 0) {
        str_append_slice(value, str_slice(&answer));
        status = TABLE_FOUND;
    }
    str_free(&answer);
    return status;
}

enum table_status db_job_find(const struct db_lookup *lookup, const void *table, struct slice key, struct str *value,
                              char **error, int64_t deadline)
{
    /* No stored key can be malformed UTF-8 or hold a NUL: Postfix does not even ask. */
    if (!utf8_is_valid(key) || memchr(key.data != NULL ? key.data : "", '\0', key.len) != NULL)
        return TABLE_NOT_FOUND;
    enum table_status status = db_config_wants(lookup->settings, key, deadline);
    if (status != TABLE_FOUND)
        return status;
    struct db_job *job = lookup->make_job(table, key, deadline);
    if (job == NULL)
        return TABLE_NOT_FOUND;
    if (!worker_pool_run(lookup->pool, &job->job, deadline)) {
        *error = mem_printf("%s: timeout", lookup->settings->spec);
        return TABLE_ERROR;
    }
    status = collect(lookup->settings, job, key, value);
    worker_job_free(lookup->kind, &job->job);
    return status;
}
