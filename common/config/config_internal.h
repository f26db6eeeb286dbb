/* SPDX-License-Identifier: ISC */
/* What the files of the configuration share among themselves. Nobody else includes this. */
#ifndef POSTHORN_CONFIG_INTERNAL_H
#define POSTHORN_CONFIG_INTERNAL_H

#include <uthash.h>

#include "common/config/config.h"
#include "common/config/evaluate.h"
#include "common/config/parameter.h"

/* One setting of main.cf or of an override. Lives in the configuration's arena. */
struct config_entry {
    const char *name;
    const char *value; /* unevaluated */
    struct config_origin where;
    UT_hash_handle hh;
};

/* A text that was computed once: an evaluated value, or a default that asks the system. */
struct config_computed {
    const char *name;
    const char *text;
    UT_hash_handle hh;
};

/* Grows although the configuration is const to its readers. */
struct config_cache {
    struct arena *arena;
    struct config_computed *evaluated; /* name -> evaluated value; emptied when a setting changes */
    struct config_computed *system;    /* name -> default that was computed from the system */
    unsigned computing;                /* how many system defaults are being computed: ends loops */
};

struct config {
    struct arena *arena;
    char *directory;
    struct config_entry **entries; /* in the order first written */
    size_t count;
    size_t capacity;
    struct config_entry *by_name;
    struct config_cache *cache;
    bool received; /* came from the supervisor: ask the system nothing */
};

/* Adds or replaces one setting; its place in the order is that of the first. */
void config_put(struct config *config, struct slice name, struct slice value,
                struct config_origin where);
const struct config_entry *config_find(const struct config *config, const char *name);

/* The unevaluated value by which $name is replaced: set, or the table's default, or computed. */
const char *config_lookup(const struct config *config, const char *name);

/* Evaluates into the cache. NULL, with a reason, when the text cannot be evaluated. */
const char *config_try_evaluate(const struct config *config, const char *name, struct str *why);
/* The same for any text: false, with a reason. */
bool config_evaluate_text(const struct config *config, struct slice text, struct str *result,
                          struct str *why) MUST_CHECK;

void config_cache_put(struct config_cache *cache, struct config_computed **map, const char *name,
                      const char *text);
const char *config_cache_find(struct config_computed *map, const char *name);

/* The length of the word that the text begins with: up to white space or one of the separators, outside all braces. */
size_t config_word_length(struct slice text, const char *separators);

/* The default of a parameter that asks the system (myhostname, mynetworks, ...). */
const char *config_system_default(const struct config *config, const char *name);
/* The names for which that works, NULL-terminated. */
extern const char *const config_system_names[];

/* "myorigin = /etc/mailname": the first word of that file. NULL when it cannot be had. */
char *config_read_first_line(const char *path);

/* mynetworks as mynetworks_style, inet_interfaces and inet_protocols select; the caller frees it. */
char *config_compute_mynetworks(const struct config *config);

/* Value parsers: false when the text is not such a value. */
bool config_parse_bool(const char *text, bool *value) MUST_CHECK;
bool config_parse_int(const char *text, int64_t *value) MUST_CHECK;

/* Says in *why what is wrong with the value of a parameter. True when nothing is. */
bool config_check_value(const struct parameter *parameter, const char *value, struct str *why)
    MUST_CHECK;

/* What this release does not do about a parameter set to this value; NULL: it does what is asked. */
const char *config_unsupported_text(const struct parameter *parameter, const char *value);

#endif
