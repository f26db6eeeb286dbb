/* SPDX-License-Identifier: ISC */
/*
 * plan: decides which processes run. Called by the supervisor at start and at reload; pure, no I/O. A service that
 * another of our roles does the work of is accepted silently; one that this release cannot run is a
 * problem that is not fatal, when a message could be sent to it.
 */
#include "master/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/config/cleanup_view.h"
#include "common/tls/level.h"

enum treatment {
    RUN_SMTPD,
    RUN_LMTP,
    RUN_VIRTUAL,
    RUN_SPAWN,     /* a program for each connection: the supervisor starts it */
    ELSEWHERE,     /* its work is done inside queue, lookup, smtpd or master */
    POSTSCREEN,    /* in front of an smtpd "pass" service: smtpd itself listens, and screens (common/service/postscreen.h) */
    NO_TRANSPORT,  /* a delivery agent that this release lacks: its mail is deferred */
    NO_LISTENER,   /* a server that this release lacks */
};

static const struct {
    const char *command;
    enum treatment treatment;
} treatments[] = {
    {"smtpd", RUN_SMTPD},      {"lmtp", RUN_LMTP},      {"virtual", RUN_VIRTUAL},
    {"postscreen", POSTSCREEN},
    {"anvil", ELSEWHERE},      {"bounce", ELSEWHERE},   {"cleanup", ELSEWHERE}, {"discard", ELSEWHERE},
    {"dnsblog", ELSEWHERE},    {"error", ELSEWHERE},    {"flush", ELSEWHERE},   {"nqmgr", ELSEWHERE},
    {"oqmgr", ELSEWHERE},      {"pickup", ELSEWHERE},   {"postlogd", ELSEWHERE}, {"proxymap", ELSEWHERE},
    {"qmgr", ELSEWHERE},       {"scache", ELSEWHERE},   {"showq", ELSEWHERE},   {"tlsmgr", ELSEWHERE},
    {"tlsproxy", ELSEWHERE},   {"trivial-rewrite", ELSEWHERE}, {"verify", ELSEWHERE},
    {"local", NO_TRANSPORT},   {"pipe", NO_TRANSPORT},  {"smtp", NO_TRANSPORT},
    {"spawn", RUN_SPAWN},      {"qmqpd", NO_LISTENER},
};

static bool treatment_of(const struct service *service, enum treatment *treatment)
{
    for (size_t i = 0; i < sizeof treatments / sizeof treatments[0]; i++)
        if (strcmp(treatments[i].command, service->command) == 0) {
            *treatment = treatments[i].treatment;
            return true;
        }
    return false;
}

static struct wanted *plan_add(struct plan *plan, enum role_id role, const char *service, struct config *config,
                               const char *listen)
{
    plan->list = mem_realloc_array(plan->list, plan->count + 1, sizeof *plan->list);
    struct wanted *wanted = &plan->list[plan->count++];
    *wanted = (struct wanted){role, mem_strdup(service), config, listen != NULL ? mem_strdup(listen) : NULL};
    return wanted;
}

static bool plan_has(const struct plan *plan, enum role_id role, const char *service)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->list[i].role == role && strcmp(plan->list[i].service, service) == 0)
            return true;
    return false;
}

static bool plan_has_role(const struct plan *plan, enum role_id role)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->list[i].role == role)
            return true;
    return false;
}

/* Where people log in, the submission program answers. Both do the work of their cleanup service, too. */
static void plan_add_smtpd(struct plan *plan, const char *service, struct config *config, const struct config *main,
                           const struct service_table *services)
{
    cleanup_view_add(config, main, services);
    plan_add(plan, config_bool(config, "smtpd_sasl_auth_enable") ? ROLE_SUBMISSION : ROLE_SMTPD, service, config, service);
}

/* The smtpd service behind a postscreen: "smtpd pass ... smtpd". */
static const struct service *smtpd_behind_postscreen(const struct service_table *services)
{
    for (size_t i = 0; i < services->count; i++)
        if (services->services[i].type == SERVICE_PASS && strcmp(services->services[i].command, "smtpd") == 0)
            return &services->services[i];
    return NULL;
}

/* A process limit that somebody wrote down is a limit for sessions. */
static void limit_sessions(struct config *config, const struct service *service)
{
    char text[16];
    if (service->process_limit <= 0 || config_int(config, "smtpd_session_limit") != 0)
        return;
    snprintf(text, sizeof text, "%d", service->process_limit);
    config_set(config, "smtpd_session_limit", text);
}

static void plan_smtpd(struct plan *plan, const struct config *config, const struct service *service,
                       const struct service_table *services, struct config_problems *problems)
{
    char *host, *port;
    if (service->type == SERVICE_PASS) /* started through its postscreen, when there is one */
        return;
    if (service->type != SERVICE_INET) {
        config_problems_add(problems, service->where, false, "service %s: smtpd listens on inet sockets only",
                            service->name);
        return;
    }
    if (!plan_split_endpoint(service->name, &host, &port)) {
        config_problems_add(problems, service->where, true, "bad service name: %s", service->name);
        return;
    }
    free(host);
    free(port);
    struct config *limited = service_config(service, config);
    limit_sessions(limited, service);
    plan_add_smtpd(plan, service->name, limited, config, services);
}

static void plan_postscreen(struct plan *plan, const struct config *config, const struct service *service,
                            const struct service_table *services, struct config_problems *problems)
{
    const struct service *behind = smtpd_behind_postscreen(services);
    if (behind == NULL) {
        config_problems_add(problems, service->where, false,
                            "service %s: postscreen without an smtpd service of type pass: not started", service->name);
        return;
    }
    struct config *screened = service_config(behind, config);
    for (size_t i = 0; i < service->override_count; i++)
        if (strncmp(service->override_names[i], "postscreen_", 11) == 0)
            config_set(screened, service->override_names[i], service->override_values[i]);
        else
            config_problems_add(problems, service->where, false, "service %s: override %s has no effect: postscreen runs inside "
                                "the smtpd service %s", service->name, service->override_names[i], behind->name);
    limit_sessions(screened, behind);
    config_set(screened, "smtpd_behind_postscreen", "yes");
    plan_add_smtpd(plan, service->name, screened, config, services);
}

static void plan_spawn(struct plan *plan, const struct config *config, const struct service *service,
                       struct config_problems *problems)
{
    plan->spawns = mem_realloc_array(plan->spawns, plan->spawn_count + 1, sizeof *plan->spawns);
    if (wanted_spawn_read(service, config, &plan->spawns[plan->spawn_count], problems))
        plan->spawn_count++;
}

static void plan_service(struct plan *plan, const struct config *config, const struct service *service,
                         const struct service_table *services, struct config_problems *problems)
{
    enum treatment treatment;
    if (!treatment_of(service, &treatment)) {
        config_problems_add(problems, service->where, false, "service %s: unknown command %s: not started",
                            service->name, service->command);
        return;
    }
    switch (treatment) {
    case RUN_SMTPD:
        plan_smtpd(plan, config, service, services, problems);
        break;
    case RUN_LMTP:
    case RUN_VIRTUAL: {
        enum role_id role = treatment == RUN_LMTP ? ROLE_LMTP : ROLE_VIRTUAL;
        plan_add(plan, role, service->name, service_config(service, config), NULL);
        break;
    }
    case RUN_SPAWN:
        plan_spawn(plan, config, service, problems);
        break;
    case POSTSCREEN:
        plan_postscreen(plan, config, service, services, problems);
        break;
    case NO_LISTENER:
        config_problems_add(problems, service->where, false, "service %s: %s is not supported yet: not started",
                            service->name, service->command);
        break;
    case NO_TRANSPORT: /* the queue defers mail for it: "mail transport unavailable" */
    case ELSEWHERE:
        break;
    }
}

/* master_service_disable: "name/type" or a type; "*" does not exist there. */
static bool is_disabled(const struct config *config, const struct service *service)
{
    const char *type = service_type_name(service->type);
    struct arena *arena = arena_new();
    char **items;
    size_t count = config_split_list(config_string(config, "master_service_disable"), arena, &items);
    const char *full = arena_printf(arena, "%s/%s", service->name, type);
    bool disabled = false;
    for (size_t i = 0; i < count && !disabled; i++)
        disabled = strcmp(items[i], full) == 0 || strcmp(items[i], type) == 0;
    arena_free(arena);
    return disabled;
}

/* Private keys have a process of their own as soon as one service needs them. */
static bool plan_needs_keys(const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if ((plan->list[i].role == ROLE_SMTPD || plan->list[i].role == ROLE_SUBMISSION) &&
            tls_level_of(plan->list[i].config).use)
            return true;
    return false;
}

void plan_make(const struct config *config, const struct service_table *services, struct plan *plan,
               struct config_problems *problems)
{
    *plan = (struct plan){.list = NULL};
    plan_add(plan, ROLE_LOOKUP, "lookup", config_with_overrides(config, NULL, NULL, 0), NULL);
    plan_add(plan, ROLE_RESOLVER, "resolver", config_with_overrides(config, NULL, NULL, 0), NULL);
    plan_add(plan, ROLE_STATE, "state", config_with_overrides(config, NULL, NULL, 0), NULL);
    plan_add(plan, ROLE_QUEUE, "queue", config_with_overrides(config, NULL, NULL, 0), NULL);
    for (size_t i = 0; i < services->count; i++) {
        const struct service *service = &services->services[i];
        if (is_disabled(config, service))
            continue;
        bool listens = plan_has(plan, ROLE_SMTPD, service->name) || plan_has(plan, ROLE_SUBMISSION, service->name);
        if (listens && service->type == SERVICE_INET)
            continue;
        plan_service(plan, config, service, services, problems);
    }
    if (plan_has_role(plan, ROLE_SUBMISSION)) /* it reads master.cf for what each service says of SASL */
        plan_add(plan, ROLE_AUTH, "auth", config_with_overrides(config, NULL, NULL, 0), NULL);
    if (plan_needs_keys(plan))
        plan_add(plan, ROLE_KEYS, "keys", config_with_overrides(config, NULL, NULL, 0), NULL);
}

void plan_free(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->list[i].service);
        free(plan->list[i].listen);
        if (plan->list[i].config != NULL) /* not taken over */
            config_free(plan->list[i].config);
    }
    free(plan->list);
    for (size_t i = 0; i < plan->spawn_count; i++)
        wanted_spawn_free(&plan->spawns[i]);
    free(plan->spawns);
    *plan = (struct plan){.list = NULL};
}

bool plan_split_endpoint(const char *name, char **host, char **port)
{
    struct slice text = slice_of(name), left = SLICE("");
    const char *colon = strrchr(name, ':');
    if (text.len > 0 && name[0] == '[') {
        const char *bracket = strchr(name, ']');
        if (bracket == NULL || bracket[1] != ':' || bracket == name + 1)
            return false;
        left = slice_range(name + 1, (size_t)(bracket - name - 1));
        colon = bracket + 1;
    } else if (colon != NULL) {
        left = slice_range(name, (size_t)(colon - name));
        if (left.len == 0 || memchr(left.data, ':', left.len) != NULL)
            return false;
    }
    struct slice right = colon != NULL ? slice_of(colon + 1) : text;
    if (right.len == 0 || memchr(right.data, '/', right.len) != NULL)
        return false;
    *host = mem_strndup(left.data, left.len);
    *port = mem_strndup(right.data, right.len);
    return true;
}
