/* SPDX-License-Identifier: ISC */
/* spawn_entry: what a spawn(8) line of master.cf asks for: who runs which command, how many and how long. Pure. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "master/plan.h"

static bool refuse(struct config_problems *problems, const struct service *service, const char *what, const char *detail)
{
    config_problems_add(problems, service->where, false, "service %s: %s%s: not started", service->name, what, detail);
    return false;
}

/* user=name[:group] */
static void read_user(const char *value, struct wanted_spawn *spawn)
{
    const char *colon = strchr(value, ':');
    spawn->user = mem_strndup(value, colon != NULL ? (size_t)(colon - value) : strlen(value));
    spawn->group = colon != NULL && colon[1] != '\0' ? mem_strdup(colon + 1) : NULL;
}

/* Everything behind argv= is the command. */
static void read_command(const struct service *service, size_t first, struct wanted_spawn *spawn)
{
    spawn->command = mem_alloc_array(service->argument_count - first + 1, sizeof(char *));
    for (size_t i = first; i < service->argument_count; i++)
        spawn->command[i - first] = mem_strdup(i == first ? service->arguments[i] + strlen("argv=") : service->arguments[i]);
}

static bool read_arguments(const struct service *service, struct wanted_spawn *spawn, struct config_problems *problems)
{
    for (size_t i = 0; i < service->argument_count && spawn->command == NULL; i++) {
        const char *argument = service->arguments[i];
        if (strncmp(argument, "user=", 5) == 0 && spawn->user == NULL)
            read_user(argument + 5, spawn);
        else if (strncmp(argument, "argv=", 5) == 0)
            read_command(service, i, spawn);
        else if (strcmp(argument, "-v") != 0 && strcmp(argument, "-D") != 0)
            return refuse(problems, service, "unknown attribute name: ", argument);
    }
    if (spawn->user == NULL || *spawn->user == '\0')
        return refuse(problems, service, "missing user= attribute", "");
    if (spawn->command == NULL || *spawn->command[0] == '\0')
        return refuse(problems, service, "missing argv= attribute", "");
    return true;
}

void wanted_spawn_free(struct wanted_spawn *spawn)
{
    for (size_t i = 0; spawn->command != NULL && spawn->command[i] != NULL; i++)
        free(spawn->command[i]);
    free(spawn->command);
    free(spawn->name);
    free(spawn->user);
    free(spawn->group);
    free((char *)(uintptr_t)spawn->where.file);
    if (spawn->config != NULL)
        config_free(spawn->config);
    *spawn = (struct wanted_spawn){.name = NULL};
}

bool wanted_spawn_read(const struct service *service, const struct config *config, struct wanted_spawn *spawn,
                       struct config_problems *problems)
{
    *spawn = (struct wanted_spawn){.name = mem_strdup(service->name), .type = service->type,
                                   .is_private = service->is_private, .wants_chroot = service->wants_chroot};
    spawn->where = service->where;
    if (service->where.file != NULL)
        spawn->where.file = mem_strdup(service->where.file);
    if (service->type != SERVICE_INET && service->type != SERVICE_UNIX) {
        wanted_spawn_free(spawn);
        return refuse(problems, service, "spawn listens on inet and unix sockets, not on ", service_type_name(service->type));
    }
    if (!read_arguments(service, spawn, problems)) {
        wanted_spawn_free(spawn);
        return false;
    }
    spawn->config = service_config(service, config);
    spawn->process_limit = service->process_limit >= 0 ? service->process_limit
                                                       : (int)config_int(spawn->config, "default_process_limit");
    spawn->time_limit = config_transport_seconds(spawn->config, service->name, "_time_limit", "command_time_limit");
    return true;
}
