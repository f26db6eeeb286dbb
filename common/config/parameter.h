/* SPDX-License-Identifier: ISC */
/*
 * The one parameter table: every main.cf name that Postfix documents, and Posthorn's own. Parsing,
 * `postconf -d`, warnings and the manual page are all made from it. To change what a parameter
 * is, does or says, edit its line in parameters.def.
 */
#ifndef POSTHORN_CONFIG_PARAMETER_H
#define POSTHORN_CONFIG_PARAMETER_H

#include <stddef.h>
#include <stdint.h>

enum parameter_type {
    PARAMETER_STRING, /* $name is evaluated; min and max bound the length (0: no bound) */
    PARAMETER_RAW,    /* handed to its user as written: $name means something else there */
    PARAMETER_BOOL,
    PARAMETER_INT,
    PARAMETER_LONG,
    PARAMETER_TIME,   /* the default's unit is the one assumed when none is written; bounds in seconds */
};

/* What this release does with a setting. */
enum parameter_status {
    WORKS,
    NO_EFFECT,       /* accepted; the thing it tunes does not exist here or needs no tuning */
    FOR_INSTALLERS,  /* a record for packages and scripts (postconf -h): no daemon of Postfix's reads it either */
    OBSOLETE,        /* Postfix itself replaced it by another name; its value still counts in a default */
    NEEDS_TLS,       /* from here on: not supported by this release, and why */
    NEEDS_SASL,
    NEEDS_MILTER,
    NEEDS_DNS,
    NEEDS_SMTP_CLIENT,
    NEEDS_POSTSCREEN,
    NEEDS_REWRITING,
    NEEDS_FILTER,
    NEEDS_LOCAL_DELIVERY,
    NOT_SUPPORTED,
};

/* Where a parameter applies: the programs that read it. */
enum parameter_roles {
    EVERYWHERE = 0,
    MASTER = 1 << 0,
    SMTPD = 1 << 1,
    QUEUE = 1 << 2,
    SMTP = 1 << 3,
    LMTP = 1 << 4,
    DELIVERY = 1 << 5, /* local, virtual and pipe */
    LOOKUP = 1 << 6,   /* address classes, tables */
    POSTSCREEN = 1 << 7,
    TLS = 1 << 8,
    COMMANDS = 1 << 9,
    FAMILY = 1 << 10, /* one of a transport's "<transport>_..." parameters: exists with its service */
};

struct parameter {
    const char *name;
    enum parameter_type type;
    const char *default_text; /* unevaluated; NULL: computed from the system (config_defaults.c) */
    int64_t min, max;         /* 0: no bound */
    enum parameter_status status;
    unsigned roles;
    const char *meaning;
};

/* NULL when the table has no such name. */
const struct parameter *parameter_find(const char *name);

/* All parameters, sorted by name. */
size_t parameter_count(void);
const struct parameter *parameter_at(size_t index);

/* "not supported yet: TLS" and the like; NULL for WORKS. */
const char *parameter_status_text(enum parameter_status status);
/* The unit of a time that is written without one: that of the default. */
char parameter_time_unit(const struct parameter *parameter);
const char *parameter_type_text(enum parameter_type type);

/* The suffixes of the "<transport>_..." families, NULL-terminated: "_destination_recipient_limit", ...
 * and the name of the parameter that holds when none is set, at the same index. */
extern const char *const parameter_family_suffixes[];
extern const char *const parameter_family_fallbacks[];

#endif
