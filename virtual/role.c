/* SPDX-License-Identifier: ISC */
/*
 * virtual: delivers into Maildirs and mailbox files below virtual_mailbox_base, for master.cf's virtual
 * service. The queue asks (DELIVER), lookup knows the tables (FIND); Landlock keeps this process below the
 * base, and each file is written with its owner's ids. A configuration change means a fresh process.
 */
#include "virtual/role.h"

#include <sys/stat.h>

#include "virtual/virtual.h"

static const struct ipc_edge lookup_edge = {.name = "virtual->lookup", .trust = IPC_FROM_ROLE};

static const struct ipc_edge *virtual_edge(enum role_id peer)
{
    if (peer == ROLE_QUEUE)
        return &delivery_agent_edge;
    return peer == ROLE_LOOKUP ? &lookup_edge : NULL;
}

static const char *const *virtual_directories(const struct role_start *start)
{
    static const char *directories[2];
    const char *base = config_string(start->config, "virtual_mailbox_base");
    directories[0] = *base == '/' ? base : NULL;
    return directories;
}

static void virtual_start(const struct role_start *start)
{
    virtual_settings_load(start->config);
    umask(077);
    owner_start();
    delivery_agent_start(virtual_deliver, (unsigned)config_int(start->config, "delay_logging_resolution_limit"),
                         config_bool(start->config, "soft_bounce"),
                         config_bool(start->config, "address_verify_negative_cache"));
}

const struct role virtual_role = {
    .id = ROLE_VIRTUAL,
    .rights = RIGHT_READ_FILES | RIGHT_WRITE_FILES | RIGHT_SET_IDS,
    .directories = virtual_directories,
    .start = virtual_start,
    .edge = virtual_edge,
    .drain = delivery_agent_drain,
};
