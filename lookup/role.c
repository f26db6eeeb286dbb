/* SPDX-License-Identifier: ISC */
/*
 * lookup: the one process that opens tables and databases, holds their passwords and connects to configured sockets.
 * Reads files below the directories of its tables, makes connections, talks to no client. Tables are opened before
 * it gives up its rights, so files that only root may read are read then; a failing table is an error in each
 * answer about it, never the end of the process.
 */
#include "lookup/lookup.h"

#include <netdb.h>
#include <pwd.h>

#include "common/base/log.h"

#define LARGEST_QUESTION (16u * 1024 * 1024)

static const struct ipc_rule smtpd_rules[] = {
    {LOOKUP_FIND, "FIND", IPC_REQUEST, false, IPC_ANY_STATE, 65536, answer_find},
    {LOOKUP_FIND_MANY, "FIND_MANY", IPC_REQUEST, false, IPC_ANY_STATE, 65536, answer_find_many},
    {LOOKUP_ADDRESS, "ADDRESS", IPC_REQUEST, false, IPC_ANY_STATE, 65536, answer_address},
    {LOOKUP_CONNECT, "CONNECT", IPC_REQUEST, false, IPC_ANY_STATE, 65536, answer_connect_known},
    {LOOKUP_CHECK, "CHECK", IPC_REQUEST, false, IPC_ANY_STATE, LARGEST_QUESTION, answer_check},
    {LOOKUP_REWRITE, "REWRITE", IPC_REQUEST, false, IPC_ANY_STATE, LARGEST_QUESTION, answer_rewrite},
};
static const struct ipc_rule queue_rules[] = {
    {LOOKUP_ROUTE, "ROUTE", IPC_REQUEST, false, IPC_ANY_STATE, LARGEST_QUESTION, answer_route},
    {LOOKUP_ROUTE_PROBE, "ROUTE_PROBE", IPC_REQUEST, false, IPC_ANY_STATE, LARGEST_QUESTION, answer_route},
    {LOOKUP_ADDRESS, "ADDRESS", IPC_REQUEST, false, IPC_ANY_STATE, 65536, answer_address},
};
/* Who talks to servers may connect and ask for nothing else; who writes mailboxes the other way round. */
static const struct ipc_rule remote_agent_rules[] = {
    {LOOKUP_CONNECT, "CONNECT", IPC_REQUEST, false, IPC_ANY_STATE, 65536, answer_connect},
};
static const struct ipc_rule mailbox_agent_rules[] = {
    {LOOKUP_FIND, "FIND", IPC_REQUEST, false, IPC_ANY_STATE, 65536, answer_find},
};

#define EDGE(text, table) \
    {.name = text "->lookup", .trust = IPC_FROM_ROLE, .rules = table, \
     .rule_count = sizeof table / sizeof table[0], .lost = questions_of_lost_channel}

static const struct ipc_edge smtpd_edge = EDGE("smtpd", smtpd_rules);
static const struct ipc_edge submission_edge = EDGE("submission", smtpd_rules);
static const struct ipc_edge queue_edge = EDGE("queue", queue_rules);
static const struct ipc_edge lmtp_edge = EDGE("lmtp", remote_agent_rules);
static const struct ipc_edge smtp_edge = EDGE("smtp", remote_agent_rules);
static const struct ipc_edge auth_edge = EDGE("auth", remote_agent_rules);
static const struct ipc_edge virtual_edge = EDGE("virtual", mailbox_agent_rules);

static const struct ipc_edge *lookup_edge(enum role_id peer)
{
    switch (peer) {
    case ROLE_SMTPD: return &smtpd_edge;
    case ROLE_SUBMISSION: return &submission_edge;
    case ROLE_QUEUE: return &queue_edge;
    case ROLE_LMTP: return &lmtp_edge;
    case ROLE_SMTP: return &smtp_edge;
    case ROLE_AUTH: return &auth_edge;
    case ROLE_VIRTUAL: return &virtual_edge;
    default: return NULL;
    }
}

/* The C library loads its name-service modules at first use; confined, it could not. */
static void warm_up_name_services(void)
{
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", "25", NULL, &found) == 0)
        freeaddrinfo(found);
    (void)getpwnam("root");
}

static void lookup_open(const struct role_start *start)
{
    warm_up_name_services();
    known_tables_collect(start->config);
    answers_open(start->config);
}

static const char *const *lookup_directories(const struct role_start *start UNUSED)
{
    return known_tables_directories();
}

static void lookup_start(const struct role_start *start UNUSED)
{
}

const struct role lookup_role = {
    .id = ROLE_LOOKUP,
    .rights = RIGHT_READ_FILES | RIGHT_CONNECT_UNIX | RIGHT_CONNECT_INET | RIGHT_THREADS | RIGHT_PASS_FD,
    .directories = lookup_directories,
    .open = lookup_open,
    .start = lookup_start,
    .edge = lookup_edge,
    .drain = questions_drain,
};
