/* SPDX-License-Identifier: ISC */
/*
 * libpq: what we call of libpq, under its own names, passed on to the library once it is loaded. Used by the
 * pgsql: table. A function that is called before libpq_load() succeeded is our bug, and ends the process.
 */
#include "common/table/libpq.h"

#include <dlfcn.h>
#include <libpq-fe.h>

#include "common/base/mem.h"

#define LIBRARY "libpq.so.5"

/* ENTRY(result, name, parameters, arguments), and VOID_ENTRY for those without a result. */
#define ENTRIES \
    ENTRY(int, PQcancel, (PGcancel *cancel, char *why, int size), (cancel, why, size)) \
    VOID_ENTRY(PQclear, (PGresult *result), (result)) \
    ENTRY(PostgresPollingStatusType, PQconnectPoll, (PGconn *handle), (handle)) \
    ENTRY(PGconn *, PQconnectStartParams, (const char *const *names, const char *const *values, int expand), \
          (names, values, expand)) \
    VOID_ENTRY(PQconninfoFree, (PQconninfoOption *options), (options)) \
    ENTRY(PQconninfoOption *, PQconninfoParse, (const char *text, char **why), (text, why)) \
    ENTRY(int, PQconsumeInput, (PGconn *handle), (handle)) \
    ENTRY(char *, PQerrorMessage, (const PGconn *handle), (handle)) \
    ENTRY(size_t, PQescapeStringConn, (PGconn *handle, char *to, const char *from, size_t len, int *error), \
          (handle, to, from, len, error)) \
    VOID_ENTRY(PQfinish, (PGconn *handle), (handle)) \
    ENTRY(int, PQflush, (PGconn *handle), (handle)) \
    VOID_ENTRY(PQfreeCancel, (PGcancel *cancel), (cancel)) \
    VOID_ENTRY(PQfreemem, (void *memory), (memory)) \
    ENTRY(PGcancel *, PQgetCancel, (PGconn *handle), (handle)) \
    ENTRY(PGresult *, PQgetResult, (PGconn *handle), (handle)) \
    ENTRY(int, PQgetisnull, (const PGresult *result, int row, int column), (result, row, column)) \
    ENTRY(int, PQgetlength, (const PGresult *result, int row, int column), (result, row, column)) \
    ENTRY(char *, PQgetvalue, (const PGresult *result, int row, int column), (result, row, column)) \
    ENTRY(int, PQisBusy, (PGconn *handle), (handle)) \
    ENTRY(int, PQnfields, (const PGresult *result), (result)) \
    ENTRY(int, PQntuples, (const PGresult *result), (result)) \
    ENTRY(char *, PQresultErrorField, (const PGresult *result, int field), (result, field)) \
    ENTRY(char *, PQresultErrorMessage, (const PGresult *result), (result)) \
    ENTRY(ExecStatusType, PQresultStatus, (const PGresult *result), (result)) \
    ENTRY(int, PQsendQuery, (PGconn *handle, const char *query), (handle, query)) \
    ENTRY(PQnoticeProcessor, PQsetNoticeProcessor, (PGconn *handle, PQnoticeProcessor processor, void *context), \
          (handle, processor, context)) \
    ENTRY(int, PQsetnonblocking, (PGconn *handle, int on), (handle, on)) \
    ENTRY(int, PQsocket, (const PGconn *handle), (handle)) \
    ENTRY(ConnStatusType, PQstatus, (const PGconn *handle), (handle))

/* The library's functions; NULL until it is loaded. */
static struct {
#define ENTRY(result_type, name, parameters, arguments) __typeof__(&name) name;
#define VOID_ENTRY(name, parameters, arguments) ENTRY(void, name, parameters, arguments)
    ENTRIES
#undef ENTRY
#undef VOID_ENTRY
    bool loaded;
} library;

#define ENTRY(result_type, name, parameters, arguments) \
    result_type name parameters { return library.name arguments; }
#define VOID_ENTRY(name, parameters, arguments) \
    void name parameters { library.name arguments; }
ENTRIES
#undef ENTRY
#undef VOID_ENTRY

bool libpq_load(char **error)
{
    if (library.loaded)
        return true;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL); /* kept for the life of the process */
    bool complete = handle != NULL;
#define ENTRY(result_type, name, parameters, arguments) \
    complete = complete && (*(void **)&library.name = dlsym(handle, #name)) != NULL;
#define VOID_ENTRY(name, parameters, arguments) ENTRY(void, name, parameters, arguments)
    ENTRIES
#undef ENTRY
#undef VOID_ENTRY
    library.loaded = complete;
    if (!complete) {
        const char *why = dlerror();
        *error = mem_printf("cannot load %s: %s", LIBRARY, why != NULL ? why : "a function is missing");
    }
    return complete;
}
