/* SPDX-License-Identifier: ISC */
/* What keys holds, as files.c, store.c (puts it together) and store_find.c (looks things up in it) see it. */
#ifndef POSTHORN_KEYS_STORE_H
#define POSTHORN_KEYS_STORE_H

#include <uthash.h>

#include "keys/keys.h"

/* --- files.c -------------------------------------------------------------------------------------- */

/* One name of a built table. */
struct table_entry {
    char *name;
    struct pem_file content;
};

/* See store_take_file(). */
void files_take(const char *path, bool is_table, int error, int fd);
/* NULL, or false, with *problem (malloc'd): there is no whole one. */
const struct pem_file *files_find(const char *path, char **problem);
bool files_find_table(const char *path, const struct table_entry **entries, size_t *count, char **problem) MUST_CHECK;

/* --- store.c, store_find.c ------------------------------------------------------------------------ */

/* One credential of the plan, or one name of a built table, and what it is now. */
struct slot {
    char *name;           /* of a server; "": the default */
    char *label;          /* its files, in words; also its identity across plans */
    const struct tls_credential *credential; /* NULL: within a table */
    struct chain *chains; /* in use; NULL while there are none */
    size_t count;
    struct slot *entries; /* of a table */
    size_t entry_count;
    char *problem;        /* of the newest files; NULL when they are in use */
    bool is_reported;
    UT_hash_handle by_name, by_label;
};

struct set {
    const struct tls_credential_set *plan;
    struct slot *slots; /* one a credential */
    struct slot **all;  /* these, and what is in tables, in the order in which they count */
    size_t all_count;
    struct slot *names; /* those of server names */
    const struct chain **defaults;
    size_t default_count;
};

struct retired {
    struct retired *next;
    EVP_PKEY *key;
    unsigned char id[KEYS_ID_SIZE];
    char **services;
    size_t service_count;
    int64_t until;
};

struct store {
    struct arena *arena; /* of the plan */
    struct tls_credentials plan;
    struct set *sets;
    struct retired *retired;
    struct arena *next_arena; /* a plan whose files are under way; NULL: none */
    struct tls_credentials next;
};
extern struct store store;

static inline bool slot_is_table(const struct slot *slot)
{
    return slot->credential != NULL && slot->credential->kind == CREDENTIAL_TABLE;
}

#endif
