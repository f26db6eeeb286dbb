/* SPDX-License-Identifier: ISC */
/*
 * What the families of "posthorn check" share: the configuration as each service sees it, the place where a word
 * is written, and the list of findings. A family is one file and one line in the table of posthorn_check.c. A
 * family only reads; it must not end the program over what it finds.
 */
#ifndef POSTHORN_COMMANDS_POSTHORN_CHECK_H
#define POSTHORN_COMMANDS_POSTHORN_CHECK_H

#include <stdio.h>

#include "common/config/config.h"
#include "common/config/master_cf.h"

/* ERROR: mail is lost, refused or open to abuse. WARNING: sooner or later it will be. NOTE: good to know. */
enum check_severity { CHECK_NOTE, CHECK_WARNING, CHECK_ERROR };

/* One kind of finding: everything about it that does not depend on the configuration. */
struct check_advice {
    const char *id; /* "open-relay": for scripts, so it never changes */
    enum check_severity severity;
    const char *why;
    const char *mend;
};

struct check_finding {
    const struct check_advice *advice;
    struct config_origin where;
    char *text;
};

/* main.cf as one service sees it; service is NULL for main.cf itself, which is always the first view. */
struct check_view {
    const struct service *service;
    struct config *config;
};

struct check {
    struct arena *arena; /* all texts below */
    struct config *config;
    struct service_table services;
    struct check_view *views;
    size_t view_count;
    struct check_finding *findings;
    size_t finding_count, finding_capacity;
    struct check_known *known; /* the findings by their texts */
    struct check_source *sources; /* files that were read to find a line in them */
    bool offline;            /* ask no name server and connect to nobody */
    const char *resolv_conf; /* where the name servers are listed */
    struct slice gateways;   /* addresses of container gateways that this host cannot know, separated by commas */
};

/* --- posthorn_check_report.c --- */
/* Adds a finding unless the same one is there already (several services inherit one mistake). */
void check_report(struct check *check, const struct check_advice *advice, struct config_origin where, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void check_free_findings(struct check *check);
void check_print_text(struct check *check, FILE *out);
void check_print_json(struct check *check, FILE *out);
size_t check_count_severity(const struct check *check, enum check_severity severity);

/* --- posthorn_check_view.c --- */
void check_make_views(struct check *check);
void check_free_views(struct check *check);
/* The evaluated value, "" when there is none or it cannot be evaluated. */
const char *check_value(const struct check_view *view, const char *name);
bool check_is_yes(const struct check_view *view, const char *name);
bool check_is_smtpd(const struct check_view *view);
/* Only this host can connect there. */
bool check_is_loopback_service(const struct check_view *view);
/* "main.cf", or the service as "submission/inet". In the arena. */
const char *check_view_name(struct check *check, const struct check_view *view);
/*
 * Where a parameter is set for this view and, within its value, the line on which the nth occurrence (from 0) of
 * a word stands; $names in the value are followed. WORD may be NULL: where the parameter itself stands.
 */
struct config_origin check_locate(struct check *check, const struct check_view *view, const char *name,
                                  const char *word, size_t nth);

/* Calls visit once for each setting as written: in main.cf, or as an override of a service. */
typedef void check_setting_visitor(struct check *check, const struct check_view *view, const char *name);
void check_each_setting(struct check *check, check_setting_visitor *visit);
bool check_has_suffix(const char *name, const char *suffix);

/* --- posthorn_check_restrictions.c --- */
enum check_trait {
    TRAIT_ARGUMENT = 1,       /* the next word belongs to it */
    TRAIT_PERMIT = 2,         /* always permits */
    TRAIT_REFUSE = 4,         /* always refuses */
    TRAIT_CLOSES_RELAY = 8,   /* refuses destinations that are not ours */
    TRAIT_FORGEABLE = 16,     /* may permit by what any stranger can claim */
    TRAIT_NEEDS_LOGIN = 32,   /* says something about logged-in clients only */
    TRAIT_PERMITS_LOGIN = 64, /* permits all logged-in clients */
    TRAIT_OWN_DESTINATION = 128, /* permits all mail to our own destinations */
    TRAIT_DNS_LIST = 256,
    TRAIT_NEEDS_RECIPIENT = 512,
    TRAIT_PREFIX = 1024,      /* warn_if_reject */
};

struct check_word {
    const char *text;
    const char *argument; /* NULL: none */
    unsigned traits;      /* 0 for most */
    bool warn_only;       /* behind warn_if_reject */
    bool is_class, is_table, is_known;
    size_t nth;           /* how many equal words stand before it in the list */
};

struct check_words {
    const char *parameter;
    struct check_word *list;
    size_t count;
};

/* The words of a restriction list or class. In the check's arena. */
struct check_words check_read_words(struct check *check, const struct check_view *view, const char *parameter);
struct config_origin check_locate_word(struct check *check, const struct check_view *view,
                                       const struct check_words *words, size_t at);
bool check_is_class(struct check *check, const struct check_view *view, const char *name);
/* smtpd_client_restrictions, ... NULL-terminated. */
extern const char *const check_restriction_lists[];

/* --- posthorn_check_databases.c: the settings file of a pgsql:, mysql:, sqlite: or ldap: table --- */
void check_database_file(struct check *check, struct slice type, const char *spec, const char *path);

/* --- one family a file --- */
void check_open_relay(struct check *check);
void check_restriction_order(struct check *check);
void check_networks(struct check *check);
void check_authentication(struct check *check);
void check_parameters(struct check *check);
void check_tables(struct check *check);
void check_sockets(struct check *check);
void check_certificates(struct check *check);
void check_rights(struct check *check);
void check_names(struct check *check);
void check_domains(struct check *check);
void check_delivery(struct check *check);

#endif
