/* SPDX-License-Identifier: ISC */
/*
 * reload: from files to slots, at start and at every reload. Everything is read, checked and opened first; only
 * when nothing is wrong does it take the place of the old. Then each role gets a successor with the
 * new configuration, and the old process drains once that one serves. The queue goes on with the new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/bounce_file.h"
#include "common/process/ipc.h"
#include "common/process/master_protocol.h"
#include "master/graph.h"
#include "master/spawn.h"
#include "master/supervisor.h"

/* A configuration that was read and checked but is not in force yet. */
struct candidate {
    struct config *config;
    struct plan plan;
    struct mail_ids ids;
    struct listener_set *listeners; /* one for each entry of the plan */
    struct spawn_list spawns;
    uid_t *uids;
    gid_t *gids;
};

static const struct config_origin nowhere = {NULL, 0};

static bool any_fatal(const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        if (problems->list[i].fatal)
            return true;
    return false;
}

void supervisor_report(const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *problem = &problems->list[i];
        void (*say)(const char *fmt, ...) = problem->fatal ? log_error : log_warning;
        if (problem->where.file != NULL)
            say("%s, line %u: %s", problem->where.file, problem->where.line, problem->text);
        else
            say("%s", problem->text);
    }
}

/* --- reading ----------------------------------------------------------------------------------- */

static bool read_files(struct candidate *new, struct config_problems *problems)
{
    struct service_table services = {NULL, 0};
    new->config = config_load(supervisor.config_directory, problems);
    if (new->config == NULL)
        return false;
    bool works = master_cf_load(supervisor.config_directory, &services, problems);
    /* A parameter that only an override in master.cf refers to is in use. */
    config_check_with_services(new->config, works ? &services : NULL, problems);
    if (works)
        config_check_overrides(new->config, &services, problems);
    if (works && !any_fatal(problems))
        plan_make(new->config, &services, &new->plan, problems);
    for (size_t i = 0; i < new->plan.count; i++)
        if (new->plan.list[i].role == ROLE_QUEUE)
            bounce_file_attach(new->plan.list[i].config, problems);
    if (works && supervisor.explains != NULL && !any_fatal(problems))
        explain_reduce_plan(&new->plan);
    service_table_free(&services);
    return works && !any_fatal(problems);
}

static void candidate_free(struct candidate *new)
{
    for (size_t i = 0; new->listeners != NULL && i < new->plan.count; i++)
        listener_set_free(&new->listeners[i]);
    free(new->listeners);
    spawn_list_free(&new->spawns);
    free(new->uids);
    free(new->gids);
    plan_free(&new->plan);
    if (new->config != NULL)
        config_free(new->config);
}

bool supervisor_check(struct config_problems *problems)
{
    struct candidate new = {.spawns = TAILQ_HEAD_INITIALIZER(new.spawns)};
    struct mail_ids ids;
    bool works = read_files(&new, problems) && mail_ids_load(new.config, &ids, problems) &&
                 layout_prepare(new.config, &ids, false, problems);
    candidate_free(&new);
    return works;
}

static bool check_move(const struct candidate *new, struct config_problems *problems)
{
    static const char *const fixed[] = {"queue_directory", "data_directory"};
    for (size_t i = 0; supervisor.config != NULL && i < sizeof fixed / sizeof fixed[0]; i++)
        if (strcmp(config_string(supervisor.config, fixed[i]), config_string(new->config, fixed[i])) != 0) {
            config_problems_add(problems, config_origin(new->config, fixed[i]), true,
                                "%s cannot change while the mail system runs: stop and start it", fixed[i]);
            return false;
        }
    return true;
}

static bool load_users(struct candidate *new, struct config_problems *problems)
{
    new->uids = mem_alloc_array(new->plan.count, sizeof *new->uids);
    new->gids = mem_alloc_array(new->plan.count, sizeof *new->gids);
    if (!mail_ids_load(new->config, &new->ids, problems))
        return false;
    for (size_t i = 0; i < new->plan.count; i++) {
        const char *parameter = graph_user_parameter(new->plan.list[i].role);
        new->uids[i] = new->ids.uid;
        new->gids[i] = new->ids.gid;
        if (parameter != NULL && !mail_ids_of_role(new->plan.list[i].config, parameter, &new->ids, &new->uids[i],
                                                   &new->gids[i], problems))
            return false;
    }
    return true;
}

static bool enter_queue_directory(const struct candidate *new, struct config_problems *problems)
{
    const char *directory = config_string(new->config, "queue_directory");
    if (!layout_prepare(new->config, &new->ids, false, problems))
        return false;
    if (chdir(directory) < 0) {
        config_problems_add(problems, nowhere, true, "chdir %s: %s", directory, strerror(errno));
        return false;
    }
    return true;
}

static bool open_listeners(struct candidate *new, struct config_problems *problems)
{
    bool works = true;
    new->listeners = mem_alloc_array(new->plan.count, sizeof *new->listeners);
    listeners_begin();
    for (size_t i = 0; works && i < new->plan.count; i++) {
        const struct wanted *wanted = &new->plan.list[i];
        struct listener_set *set = &new->listeners[i];
        if (supervisor.explains != NULL)
            continue;
        if (wanted->listen != NULL)
            works = listeners_open_inet(wanted->config, wanted->listen, set, problems);
        else if (wanted->role == ROLE_QUEUE)
            works = listeners_open_unix("public/postqueue", SOCK_SEQPACKET, set, problems) &&
                    listeners_open_unix("public/showq", SOCK_STREAM, set, problems);
        if (works && set->count > ROLE_LISTENER_LIMIT) {
            config_problems_add(problems, nowhere, true, "service %s: too many addresses", wanted->service);
            works = false;
        }
    }
    works = works && spawn_services_make(&new->plan, &new->ids, &new->spawns, problems);
    if (!works)
        listeners_abort();
    return works;
}

/* --- taking over --------------------------------------------------------------------------------- */

static char *choose_daemon_directory(const struct config *config)
{
    const char *configured = config_string(config, "daemon_directory");
    char *chosen = layout_daemon_directory(config);
    if (strcmp(chosen, configured) != 0)
        log_warning("daemon_directory %s holds no Posthorn programs: using %s", configured, chosen);
    return chosen;
}

static void reload_in_place(struct slot *slot)
{
    int fd = process_config_descriptor(slot->config);
    if (fd < 0) { /* it gets the new configuration when it starts again */
        log_warning("cannot pass the configuration to %s: %s", role_name(slot->role), strerror(errno));
        process_end(slot->current);
        return;
    }
    if (slot->current->channel != NULL)
        ipc_notify(slot->current->channel, MASTER_RELOAD, SLICE(""), fd);
    close(fd);
}

static void slot_renew(struct slot *slot)
{
    slot->backoff.failures = 0;
    slot->early_ends = 0;
    if (slot->current != NULL && !graph_is_replaced(slot->role)) {
        reload_in_place(slot);
        return;
    }
    if (slot->successor != NULL) /* from a reload that is not finished: it never served */
        process_drain(slot->successor, 1000);
    slot_start(slot);
}

/* The slot of one entry of the plan gets its new configuration, whether it existed before or not. */
static void slot_apply(struct candidate *new, size_t index)
{
    struct wanted *wanted = &new->plan.list[index];
    struct slot *slot = slot_find(wanted->role, wanted->service);
    if (slot == NULL) {
        slot = mem_alloc(sizeof *slot);
        slot->role = wanted->role;
        slot->service = mem_strdup(wanted->service);
        TAILQ_INSERT_TAIL(&supervisor.slots, slot, link);
    } else {
        config_free(slot->config);
        listener_set_free(&slot->listeners);
    }
    slot->config = wanted->config;
    wanted->config = NULL;
    slot->listeners = new->listeners[index];
    new->listeners[index] = (struct listener_set){NULL, NULL, 0};
    slot->uid = new->uids[index];
    slot->gid = new->gids[index];
    slot->wanted = true;
}

static void remove_unwanted(void)
{
    struct slot *slot, *next;
    for (slot = TAILQ_FIRST(&supervisor.slots); slot != NULL; slot = next) {
        next = TAILQ_NEXT(slot, link);
        if (slot->wanted)
            continue;
        if (slot->successor != NULL)
            process_drain(slot->successor, 1000);
        if (slot->current != NULL)
            process_drain(slot->current, 24 * 3600 * 1000);
        slot_free(slot);
    }
}

static void take_over(struct candidate *new)
{
    struct slot *slot;
    TAILQ_FOREACH (slot, &supervisor.slots, link)
        slot->wanted = false;
    for (size_t i = 0; i < new->plan.count; i++)
        slot_apply(new, i);
    if (supervisor.config != NULL)
        config_free(supervisor.config);
    else
        log_info("daemon started -- version %s, configuration %s", config_string(new->config, "mail_version"),
                 supervisor.config_directory);
    supervisor.config = new->config;
    supervisor.ids = new->ids;
    new->config = NULL;
    free(supervisor.daemon_directory);
    supervisor.daemon_directory = choose_daemon_directory(supervisor.config);
    remove_unwanted();
    spawn_services_replace(&new->spawns);
    listeners_commit();
    key_files_configure();
    TAILQ_FOREACH (slot, &supervisor.slots, link)
        slot_renew(slot);
}

bool supervisor_load(struct config_problems *problems)
{
    struct candidate new = {.spawns = TAILQ_HEAD_INITIALIZER(new.spawns)};
    bool works = read_files(&new, problems) && check_move(&new, problems) && load_users(&new, problems) &&
                 enter_queue_directory(&new, problems) && open_listeners(&new, problems);
    if (works && !master_log_open(new.config, problems)) {
        listeners_abort();
        works = false;
    }
    if (works)
        take_over(&new);
    candidate_free(&new);
    return works;
}

bool supervisor_reload(struct config_problems *problems)
{
    log_info("reload -- version %s, configuration %s", config_string(supervisor.config, "mail_version"),
             supervisor.config_directory);
    notify_send("RELOADING=1");
    bool works = supervisor_load(problems);
    supervisor_report(problems);
    if (works)
        supervise_broadcast_log();
    else
        log_error("the new configuration is not usable: going on with the old one");
    supervisor.reloads++;
    if (!works || supervise_all_ready())
        notify_send("READY=1");
    return works;
}
