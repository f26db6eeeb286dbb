/* SPDX-License-Identifier: ISC */
/*
 * A configuration: what main.cf says, one service's -o overrides from master.cf, and the defaults
 * of the parameter table (parameter.h). Values are evaluated ($name and friends) when asked for.
 *
 * The supervisor and the commands load it from files (config_load); a daemon receives it as a
 * descriptor (config_receive) and never opens a configuration file. A name that is not in the
 * parameter table, or that is asked for as another type than the table's, is a bug: log_panic.
 * A value that cannot be parsed ("smtpd_timeout = soon") is reported by config_check() with file
 * and line; the getters then log a fatal error, as Postfix does.
 */
#ifndef POSTHORN_CONFIG_CONFIG_H
#define POSTHORN_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"

struct config;

/* Where a setting was written. file is NULL for a default or an override given on a command line. */
struct config_origin {
    const char *file;
    unsigned line; /* the first line of the logical line, from 1 */
};

/* Something wrong in a configuration file, in words for the admin. */
struct config_problem {
    struct config_origin where;
    bool fatal;
    char *text;
};

struct config_problems {
    struct config_problem *list;
    size_t count;
};

void config_problems_add(struct config_problems *problems, struct config_origin where, bool fatal,
                         const char *fmt, ...) PRINTF_LIKE(4, 5);
void config_problems_free(struct config_problems *problems);
/* Appends "FILE, line N: TEXT", or as much of it as is known. */
void config_problem_describe(const struct config_problem *problem, struct str *text);

/*
 * Reads DIRECTORY/main.cf. NULL only when the file cannot be read (a fatal problem is added);
 * every other oddity is a problem in the list, and the configuration is usable.
 */
struct config *config_load(const char *directory, struct config_problems *problems) MUST_CHECK;
void config_free(struct config *config);

/* A configuration that holds only defaults: for unit tests and for programs without main.cf. */
struct config *config_new_default(void);
/* The same for a directory that is not the default one; reads nothing. */
struct config *config_new(const char *directory);

/* A copy with overrides on top (master.cf "-o name=value"); the base may be freed afterwards. */
struct config *config_with_overrides(const struct config *base, const char *const *names,
                                     const char *const *values, size_t count);

/* Sets one value on top, as an override ("posthorn -o", tests). */
void config_set(struct config *config, const char *name, const char *value);

/* The evaluated value; numbers and times as they are written. The text lives as long as the configuration.
 * Never NULL; "" when empty. */
const char *config_string(const struct config *config, const char *name);
bool config_bool(const struct config *config, const char *name);
int64_t config_int(const struct config *config, const char *name);
int64_t config_seconds(const struct config *config, const char *name); /* Postfix time values */

/* The value of a parameter that the table cannot know (the admin's own, "<transport>_..." families):
 * NULL when it is set nowhere. */
const char *config_string_or_null(const struct config *config, const char *name);
/* The same for programs that advise: NULL also when the value cannot be evaluated. Never ends the program. */
const char *config_string_if_valid(const struct config *config, const char *name);
/* <transport><suffix> when it is set, otherwise the value of fallback, e.g.
 * config_transport_int(c, "lmtp", "_destination_recipient_limit", "default_destination_recipient_limit"). */
int64_t config_transport_int(const struct config *config, const char *transport, const char *suffix,
                             const char *fallback);
int64_t config_transport_seconds(const struct config *config, const char *transport,
                                 const char *suffix, const char *fallback);

/* True when main.cf or an override sets it (even to its default). */
bool config_is_set(const struct config *config, const char *name);
struct config_origin config_origin(const struct config *config, const char *name);
const char *config_directory(const struct config *config);

/* The raw, unevaluated text as written (or the table's default). NULL when unknown and unset. */
const char *config_raw(const struct config *config, const char *name);

/* Evaluates any text with this configuration's values. "Evaluation loops" are a problem, not a hang. */
char *config_expand(const struct config *config, const char *text, struct arena *arena);

/* All names set in main.cf or by an override, in the order written. */
size_t config_count(const struct config *config);
const char *config_name_at(const struct config *config, size_t index);

/* Checks every set value against the table: unknown names, unused parameters, bad numbers, loops. */
void config_check(const struct config *config, struct config_problems *problems);
/* The same, knowing master.cf too: names that only its services use are then judged exactly. */
struct service_table;
void config_check_with_services(const struct config *config, const struct service_table *services,
                                struct config_problems *problems);

/* What services override: values, names that nothing reads, and what this release does not do. */
void config_check_overrides(const struct config *config, const struct service_table *services,
                            struct config_problems *problems);

/* Writes the configuration to / reads it from a descriptor (a sealed memfd made by the supervisor).
 * Includes everything a daemon cannot find out once confined: myhostname, mydomain, mynetworks and
 * other defaults that ask the system are fixed here. */
void config_send(const struct config *config, int fd);
/* NULL when what the descriptor holds is not a configuration. */
struct config *config_receive(int fd) MUST_CHECK;

/* The same two as bytes in memory. config_decode trusts nothing and is a fuzz target. */
void config_encode(const struct config *config, struct str *out);
struct config *config_decode(struct slice bytes) MUST_CHECK;

/* Splits a Postfix list value at commas and white space outside { }; "{ a, b }" becomes one item
 * without its braces. Items live in the arena. Returns the count. */
size_t config_split_list(const char *value, struct arena *arena, char ***items);

/* The same for a parameter whose elements may be "/file/name" (mydestination, mynetworks, ...): such an
 * element is replaced by the file's content, "!/file" by its content with "!" before each item. Opens
 * files: call it while that is allowed. A file that cannot be read is a fatal problem. */
size_t config_read_list(const struct config *config, const char *name, struct arena *arena,
                        char ***items, struct config_problems *problems);

/* The environment that "import_environment" (or "export_environment") allows, from this program's own, NULL-terminated;
 * with DEFAULT_PATH as PATH when the parameter does not say one. NULL: then there is none. */
char **config_make_environment(const struct config *config, const char *parameter, const char *default_path);
void config_free_environment(char **environment);

/* Removes from this program's environment what "import_environment" (or "export_environment", before an
 * external command) does not list, and sets what it gives as name=value. */
void config_restrict_environment(const struct config *config, const char *parameter);

/* Postfix time text ("3600s", "5d", "10m"; unit when none is written) to seconds. */
bool config_parse_seconds(const char *text, char default_unit, int64_t *seconds);

#endif
