/* SPDX-License-Identifier: ISC */
/*
 * spawn: the services themselves: who they run as, when they accept, how many run. Called by reload.c and by events. At the
 * process limit a service does not accept; one whose program cannot be executed, or dies of a signal, pauses for up to
 * a second between connections. What goes wrong is logged as spawn(8) would.
 */
#include "master/spawn.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "master/spawn_child.h"
#include "master/supervisor.h"

#define ACCEPT_BATCH 16
#define LONGEST_PAUSE_MS 1000
#define WARNING_PAUSE_MS 60000

static struct spawn_list services = TAILQ_HEAD_INITIALIZER(services);

/* --- who it runs as ------------------------------------------------------------------------ */

static bool refuse(struct config_problems *problems, const struct spawn_service *service, const char *what, const char *name)
{
    config_problems_add(problems, service->wanted.where, false, "service %s: %s %s: not started", service->wanted.name, what,
                        name);
    return false;
}

static bool find_group(struct spawn_service *service, const struct mail_ids *ids, struct config_problems *problems)
{
    const char *name = service->wanted.group;
    if (name != NULL) {
        const struct group *group = getgrnam(name);
        if (group == NULL)
            return refuse(problems, service, "unknown group name:", name);
        service->gid = group->gr_gid;
    }
    if (service->gid == 0)
        return refuse(problems, service, "request to use privileged group id of", service->wanted.user);
    if (service->gid == ids->gid)
        return refuse(problems, service, "request to use mail system owner group id of", service->wanted.user);
    return true;
}

/* A program that talks to strangers gets neither root's rights nor those over the queue. */
static bool find_user(struct spawn_service *service, const struct mail_ids *ids, struct config_problems *problems)
{
    const char *name = service->wanted.user;
    const struct passwd *user = getpwnam(name);
    if (user == NULL)
        return refuse(problems, service, "unknown user name:", name);
    service->uid = user->pw_uid;
    service->gid = user->pw_gid;
    service->changes_ids = ids->is_root;
    if (!ids->is_root) /* then nobody has any rights to give away */
        return service->uid == geteuid() || refuse(problems, service, "not started as root, cannot become", name);
    if (service->uid == 0)
        return refuse(problems, service, "request to use privileged user id of", name);
    if (service->uid == ids->uid)
        return refuse(problems, service, "request to use mail system owner user id of", name);
    return find_group(service, ids, problems);
}

/* --- making and unmaking --------------------------------------------------------------------- */

static void stop_accepting(struct spawn_service *service)
{
    for (size_t i = 0; service->events != NULL && i < service->listeners.count; i++)
        event_free(service->events[i]);
    free(service->events);
    service->events = NULL;
}

static void service_free(struct spawn_service *service)
{
    stop_accepting(service);
    if (service->resume != NULL)
        event_free(service->resume);
    listener_set_free(&service->listeners);
    wanted_spawn_free(&service->wanted);
    free(service);
}

void spawn_list_free(struct spawn_list *list)
{
    struct spawn_service *service;
    while ((service = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, service, link);
        service_free(service);
    }
}

static bool open_sockets(struct spawn_service *service, struct config_problems *problems)
{
    const struct wanted_spawn *wanted = &service->wanted;
    if (wanted->type == SERVICE_INET)
        return listeners_open_inet(wanted->config, wanted->name, &service->listeners, problems);
    char *path = mem_printf("%s/%s", wanted->is_private ? "private" : "public", wanted->name);
    bool works = listeners_open_unix(path, SOCK_STREAM, &service->listeners, problems);
    free(path);
    return works;
}

bool spawn_services_make(struct plan *plan, const struct mail_ids *ids, struct spawn_list *list,
                         struct config_problems *problems)
{
    for (size_t i = 0; i < plan->spawn_count; i++) {
        struct spawn_service *service = mem_alloc(sizeof *service);
        service->wanted = plan->spawns[i];
        plan->spawns[i] = (struct wanted_spawn){.name = NULL};
        TAILQ_INSERT_TAIL(list, service, link);
        if (!find_user(service, ids, problems)) {
            TAILQ_REMOVE(list, service, link);
            service_free(service);
        } else if (!open_sockets(service, problems)) {
            return false;
        }
    }
    return true;
}

/* --- accepting ----------------------------------------------------------------------------------- */

static void start_accepting(struct spawn_service *service);

static void on_resume(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    start_accepting(arg);
}

static void pause_accepting(struct spawn_service *service, int64_t delay_ms)
{
    struct timeval tv = {delay_ms / 1000, delay_ms % 1000 * 1000};
    stop_accepting(service);
    if (service->resume == NULL)
        service->resume = evtimer_new(fiber_loop_base(), on_resume, service);
    if (service->resume == NULL || event_add(service->resume, &tv) < 0)
        log_fatal("cannot set a timer");
}

static bool is_full(const struct spawn_service *service)
{
    return service->wanted.process_limit > 0 && service->running >= service->wanted.process_limit;
}

static void warn_full(struct spawn_service *service)
{
    int64_t now = clock_ms();
    if (service->warned_at != 0 && now - service->warned_at < WARNING_PAUSE_MS)
        return;
    service->warned_at = now;
    log_warning("service \"%s\" (%s) has reached its process limit \"%d\": new clients may experience noticeable delays",
                service->wanted.name, service->listeners.names[0], service->wanted.process_limit);
    log_warning("to avoid this condition, increase the process count in master.cf or reduce the service time per client");
}

static void on_connection(evutil_socket_t listener, short what UNUSED, void *arg)
{
    struct spawn_service *service = arg;
    for (int i = 0; i < ACCEPT_BATCH && !is_full(service); i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_warning("service %s: accept: %s", service->wanted.name, strerror(errno));
                pause_accepting(service, LONGEST_PAUSE_MS);
                return;
            }
            break; /* nobody is there, or is there no longer */
        }
        service->running += spawn_child_start(service, fd);
        close(fd);
    }
    if (is_full(service)) { /* the next ones wait in the kernel */
        warn_full(service);
        stop_accepting(service);
    }
}

static void start_accepting(struct spawn_service *service)
{
    if (service->events != NULL || is_full(service) || supervisor.stopping)
        return;
    service->events = mem_alloc_array(service->listeners.count, sizeof *service->events);
    for (size_t i = 0; i < service->listeners.count; i++) {
        service->events[i] = event_new(fiber_loop_base(), service->listeners.fds[i], EV_READ | EV_PERSIST, on_connection, service);
        if (service->events[i] == NULL || event_add(service->events[i], NULL) < 0)
            log_fatal("cannot watch a listening socket");
    }
}

/* --- reload --------------------------------------------------------------------------------------- */

static struct spawn_service *find_like(const struct spawn_list *list, const struct spawn_service *like)
{
    struct spawn_service *service;
    TAILQ_FOREACH (service, list, link)
        if (service->wanted.type == like->wanted.type && strcmp(service->wanted.name, like->wanted.name) == 0)
            return service;
    return NULL;
}

void spawn_services_replace(struct spawn_list *list)
{
    struct spawn_service *service;
    while ((service = TAILQ_FIRST(&services)) != NULL) {
        struct spawn_service *successor = find_like(list, service);
        TAILQ_REMOVE(&services, service, link);
        spawn_children_move(service, successor);
        if (successor != NULL)
            successor->running = service->running;
        service_free(service);
    }
    TAILQ_CONCAT(&services, list, link);
    TAILQ_FOREACH (service, &services, link)
        start_accepting(service);
}

/* --- the end -------------------------------------------------------------------------------------------- */

void spawn_service_left(struct spawn_service *service, bool is_faulty, int64_t lived_ms)
{
    service->running--;
    if (!is_faulty) {
        service->backoff.failures = 0;
        if (service->resume == NULL || !evtimer_pending(service->resume, NULL))
            start_accepting(service);
        return;
    }
    int64_t delay = backoff_after_end(&service->backoff, lived_ms, LONGEST_PAUSE_MS);
    if (delay > 0)
        pause_accepting(service, delay);
    else
        start_accepting(service);
}

void spawn_stop(int64_t limit_ms)
{
    struct spawn_service *service;
    TAILQ_FOREACH (service, &services, link) {
        stop_accepting(service);
        if (service->resume != NULL)
            event_del(service->resume);
    }
    spawn_children_end(limit_ms);
}
