/* SPDX-License-Identifier: ISC */
/*
 * resolver: the one process that speaks DNS. Holds the right to open Internet sockets and nothing else: no files, no
 * clients, no mail. Reads /etc/resolv.conf once, before it gives up its rights. A question that cannot be answered is
 * "temporary"; each runs on a fiber of its own, thousands at once.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/fiber.h"
#include "common/base/mem.h"
#include "resolver/resolver.h"

#define STACK_SIZE (64 * 1024)

struct request {
    struct ipc_channel *channel; /* NULL: the asker is gone */
    uint32_t id;
    enum dns_request kind;
    uint16_t type; /* of a QUERY */
    struct arena *arena;
    char *subject; /* the name or address of a QUERY or PEERNAME */
    struct spf_question spf;
    LIST_ENTRY(request) link;
};

static LIST_HEAD(, request) requests = LIST_HEAD_INITIALIZER(requests);
static bool draining;

static void answer_query(struct request *request, struct str *body)
{
    struct dns_answer found;
    query_ask(request->subject, request->type, CLOCK_NEVER, request->arena, &found);
    if (request->type == DNS_TXT)
        dns_text_make_printable(&found);
    dns_answer_encode(&found, body);
}

static void answer_peername(struct request *request, struct str *body)
{
    struct dns_peername peer;
    peername_find(request->subject, request->arena, &peer);
    dns_peername_encode(&peer, body);
}

static void answer_spf(struct request *request, struct str *body)
{
    struct spf_answer found;
    spf_check(&request->spf, request->arena, &found);
    spf_answer_encode(&found, body);
}

static void answer(struct request *request, struct str *body)
{
    if (request->kind == DNS_QUERY)
        answer_query(request, body);
    else if (request->kind == DNS_PEERNAME)
        answer_peername(request, body);
    else
        answer_spf(request, body);
}

static void request_fiber(void *arg)
{
    struct request *request = arg;
    struct str body = STR_EMPTY;
    answer(request, &body);
    if (request->channel != NULL)
        ipc_reply(request->channel, request->id, str_slice(&body), -1);
    str_free(&body);
    LIST_REMOVE(request, link);
    arena_free(request->arena);
    free(request);
    if (draining && LIST_EMPTY(&requests))
        role_finished();
}

static bool read_question(struct request *request, struct slice body)
{
    struct ipc_reader reader = ipc_reader_of(body);
    if (request->kind == DNS_SPF)
        return spf_question_decode(body, request->arena, &request->spf);
    request->subject = ipc_get_text(&reader, request->arena);
    if (request->kind == DNS_QUERY)
        request->type = ipc_get_u16(&reader);
    return ipc_reader_finish(&reader) && (request->kind != DNS_QUERY || dns_type_is_known(request->type));
}

static void receive(struct ipc_channel *channel, struct ipc_message *message)
{
    struct request *request = mem_alloc(sizeof *request);
    request->channel = channel;
    request->id = message->id;
    request->kind = (enum dns_request)message->type;
    request->arena = arena_new();
    if (!read_question(request, message->body))
        ipc_violation(channel, "malformed DNS question");
    LIST_INSERT_HEAD(&requests, request, link);
    fiber_spawn("question", request_fiber, request);
}

static void channel_lost(struct ipc_channel *channel)
{
    struct request *request;
    LIST_FOREACH (request, &requests, link)
        if (request->channel == channel)
            request->channel = NULL;
}

static const struct ipc_rule rules[] = {
    {DNS_QUERY, "QUERY", IPC_REQUEST, false, IPC_ANY_STATE, DNS_MAX_QUESTION, receive},
    {DNS_PEERNAME, "PEERNAME", IPC_REQUEST, false, IPC_ANY_STATE, DNS_MAX_QUESTION, receive},
    {DNS_SPF, "SPF", IPC_REQUEST, false, IPC_ANY_STATE, SPF_MAX_QUESTION, receive},
};
static const struct ipc_edge smtpd_edge = {
    .name = "smtpd->resolver", .trust = IPC_FROM_ROLE, .rules = rules, .rule_count = sizeof rules / sizeof rules[0],
    .lost = channel_lost,
};

static const struct ipc_edge *edge(enum role_id peer)
{
    return peer == ROLE_SMTPD || peer == ROLE_SUBMISSION ? &smtpd_edge : NULL;
}

static void open_role(const struct role_start *start)
{
    query_open(start->config);
    spf_open();
}

static void start_role(const struct role_start *start UNUSED)
{
    fiber_set_stack_size(STACK_SIZE);
}

static void drain(void)
{
    draining = true;
    if (LIST_EMPTY(&requests))
        role_finished();
}

int main(int argc, char **argv)
{
    static const struct role role = {
        .id = ROLE_RESOLVER,
        .rights = RIGHT_CONNECT_INET,
        .wants_empty_root = true,
        .max_open_files = 12288,
        .open = open_role,
        .start = start_role,
        .edge = edge,
        .drain = drain,
    };
    return role_main(&role, argc, argv);
}
