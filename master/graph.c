/* SPDX-License-Identifier: ISC */
/* graph: the static table of edges between roles, and what else depends on the role alone. Pure. */
#include "master/graph.h"

static const struct {
    enum role_id client;
    enum role_id server;
} edges[] = {
    {ROLE_SMTPD, ROLE_LOOKUP},
    {ROLE_SMTPD, ROLE_QUEUE},
    {ROLE_SMTPD, ROLE_RESOLVER},
    {ROLE_SMTPD, ROLE_STATE},
    {ROLE_SMTPD, ROLE_KEYS},
    {ROLE_SUBMISSION, ROLE_LOOKUP},
    {ROLE_SUBMISSION, ROLE_QUEUE},
    {ROLE_SUBMISSION, ROLE_RESOLVER},
    {ROLE_SUBMISSION, ROLE_STATE},
    {ROLE_SUBMISSION, ROLE_KEYS},
    {ROLE_SUBMISSION, ROLE_AUTH},
    {ROLE_AUTH, ROLE_LOOKUP},
    {ROLE_QUEUE, ROLE_LOOKUP},
    {ROLE_QUEUE, ROLE_STATE},
    {ROLE_QUEUE, ROLE_LMTP},
    {ROLE_QUEUE, ROLE_VIRTUAL},
    {ROLE_LMTP, ROLE_LOOKUP},
    {ROLE_VIRTUAL, ROLE_LOOKUP},
};

bool graph_has_edge(enum role_id client, enum role_id server)
{
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        if (edges[i].client == client && edges[i].server == server)
            return true;
    return false;
}

const char *graph_user_parameter(enum role_id role)
{
    switch (role) {
    case ROLE_SMTPD:
        return "smtpd_process_user";
    case ROLE_SUBMISSION:
        return "submission_process_user";
    case ROLE_AUTH:
        return "auth_process_user";
    case ROLE_KEYS:
        return "keys_process_user";
    case ROLE_STATE:
        return "state_process_user";
    case ROLE_LMTP:
        return "lmtp_process_user";
    case ROLE_LOOKUP:
        return "lookup_process_user";
    case ROLE_RESOLVER:
        return "resolver_process_user";
    case ROLE_VIRTUAL:
        return "virtual_process_user";
    default: /* the queue owns the spool, and the spool is mail_owner's */
        return NULL;
    }
}

bool graph_is_replaced(enum role_id role)
{
    return role != ROLE_QUEUE && role != ROLE_STATE && role != ROLE_KEYS;
}
