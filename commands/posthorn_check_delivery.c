/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_delivery: whether there is somebody to do what mail is sent to: the transport of each class of
 * domains, the content filter, the programs of spawn services. What Postfix has and this release lacks is named,
 * because mail for it is accepted and waits.
 */
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/posthorn_check.h"

static const struct check_advice no_outbound = {
    "no-outbound-delivery", CHECK_WARNING,
    "This release does not deliver to other hosts: such mail is accepted from those who may send it, and waits in the queue.",
    "Let clients send through another server until it does, or have default_transport = error:no outbound mail here."};
static const struct check_advice no_agent = {
    "transport-unsupported", CHECK_ERROR, "This release delivers with lmtp and virtual only: mail for these domains is accepted and waits in the queue.",
    "Deliver these domains with lmtp (to Dovecot) or virtual, or keep Postfix for them."};
static const struct check_advice undefined_transport = {
    "transport-undefined", CHECK_ERROR, "Mail that is routed to a service that does not exist waits in the queue.",
    "Add the service to master.cf, or correct the name."};
static const struct check_advice no_filter = {
    "content-filter-unsupported", CHECK_ERROR,
    "Every message that is accepted goes to this filter first; this release cannot send it there, so all of it waits in the queue.",
    "Remove it; what the filter does can be done by Dovecot's Sieve or a server in front, or keep Postfix."};
static const struct check_advice no_spawn_user = {
    "spawn-user-missing", CHECK_ERROR, "The service is not started, and who asks it (a policy check) gets 451.",
    "Create the user, or correct the name behind user=."};
static const struct check_advice no_spawn_program = {
    "spawn-program-missing", CHECK_ERROR, "Each connection to the service ends at once, and who asks it (a policy check) gets 451.",
    "Install the program, or correct the path behind argv=."};

static const struct {
    const char *parameter;
    const char *domains; /* used when this is not empty; NULL: always */
    const struct check_advice *advice;
} classes[] = {
    {"default_transport", NULL, &no_outbound},
    {"relay_transport", "relay_domains", &no_agent},
    {"local_transport", "mydestination", &no_agent},
    {"virtual_transport", "virtual_mailbox_domains", &no_agent},
};

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

static const struct service *find_transport(const struct check *check, struct slice name)
{
    for (size_t i = 0; i < check->services.count; i++)
        if (check->services.services[i].type == SERVICE_UNIX &&
            slice_equal(slice_of(check->services.services[i].name), name))
            return &check->services.services[i];
    return NULL;
}

static struct slice transport_of(const char *value)
{
    return slice_range(value, strcspn(value, ": \t"));
}

/* A transport named by a parameter, which may have been left at its default. */
static void check_transport(struct check *check, const struct check_view *view, const char *parameter,
                            const struct check_advice *advice)
{
    static const char *const lacking[] = {"smtp", "local", "pipe", NULL};
    static const char *const built_in[] = {"error", "retry", "discard", NULL};
    const char *value = check_value(view, parameter);
    struct slice name = transport_of(value);
    const struct service *service = find_transport(check, name);
    struct config_origin where = check_locate(check, view, parameter, NULL, 0);
    if (name.len == 0 || (service == NULL && is_one_of(arena_slice(check->arena, name), built_in)))
        return;
    if (where.file == NULL && service != NULL)
        where = service->where;
    if (service != NULL && is_one_of(service->command, lacking))
        check_report(check, advice, where, "%s = %s: there is no %s(8) in this release", parameter, value, service->command);
    else if (service == NULL && config_is_set(view->config, parameter)) /* by default it may just not be used */
        check_report(check, &undefined_transport, where, "%s: master.cf has no service %.*s of type unix", parameter,
                     SLICE_ARGS(name));
}

static void check_classes(struct check *check)
{
    const struct check_view *view = &check->views[0];
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (classes[i].domains == NULL || *check_value(view, classes[i].domains) != '\0')
            check_transport(check, view, classes[i].parameter, classes[i].advice);
}

/* --- programs of spawn services ----------------------------------------------------------- */

static const char *find_argument(const struct service *service, const char *prefix)
{
    for (size_t i = 0; i < service->argument_count; i++)
        if (strncmp(service->arguments[i], prefix, strlen(prefix)) == 0)
            return service->arguments[i] + strlen(prefix);
    return NULL;
}

static void check_spawn(struct check *check, const struct check_view *view)
{
    const struct service *service = view->service;
    const char *user = find_argument(service, "user="), *program = find_argument(service, "argv=");
    const char *name = check_view_name(check, view);
    if (user != NULL) {
        user = arena_slice(check->arena, slice_range(user, strcspn(user, ":")));
        if (getpwnam(user) == NULL)
            check_report(check, &no_spawn_user, service->where, "%s: there is no user \"%s\"", name, user);
    }
    /* In a chroot the path is another one, which need not be looked at. */
    if (program != NULL && program[0] == '/' && !service->wants_chroot && access(program, X_OK) != 0)
        check_report(check, &no_spawn_program, service->where, "%s: cannot execute %s", name, program);
}

void check_delivery(struct check *check)
{
    check_classes(check);
    for (size_t i = 0; i < check->view_count; i++) {
        const struct check_view *view = &check->views[i];
        if (check_is_smtpd(view))
            check_transport(check, view, "content_filter", &no_filter);
        if (view->service != NULL && strcmp(view->service->command, "spawn") == 0)
            check_spawn(check, view);
    }
}
