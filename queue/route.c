/* SPDX-License-Identifier: ISC */
/*
 * route: asks lookup for transport and next hop of the recipients of all messages that became active in this
 * turn of the loop, those of one sender in one question. While lookup is down the messages wait here;
 * an answer that is an error defers the recipient.
 */
#include <stdlib.h>

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/lookup_protocol.h"
#include "common/mail/probe_sender.h"
#include "common/process/role.h"
#include "queue/queue.h"

#define MOST_LOSSES 3       /* of lookup processes over one message */
#define MOST_ADDRESSES 1000 /* in one question; a message's recipients are never split */

/* One question under way. */
struct route_question {
    struct active **messages;
    size_t count;
};

static void route_hook_run(struct fiber_turn_hook *hook);
static struct fiber_turn_hook route_hook = {.run = route_hook_run};
static struct active_list to_route = TAILQ_HEAD_INITIALIZER(to_route);

/* --- the answer ------------------------------------------------------------------------- */

static bool same_way(const struct route *a, const struct route *b)
{
    return strcmp(a->transport, b->transport) == 0 && strcmp(a->next_hop, b->next_hop) == 0;
}

/* Recipients with the same transport and next hop go together, in the order of the first of them. */
static void route_group(struct active *active, const struct route *routes, uint32_t *open, bool *taken, size_t count)
{
    uint32_t *group = arena_alloc_array(active->arena, count, sizeof *group);
    for (size_t first = 0; first < count; first++) {
        size_t members = 0;
        if (taken[first] || routes[first].status == TABLE_ERROR)
            continue;
        for (size_t i = first; i < count; i++) {
            if (taken[i] || routes[i].status == TABLE_ERROR || !same_way(&routes[first], &routes[i]))
                continue;
            taken[i] = true;
            group[members++] = open[i];
        }
        transport_add(active, routes[first].transport, routes[first].next_hop, group, members);
    }
}

/* content_filter and FILTER: all mail goes there, whatever the tables say; its addresses stay as they are. */
static struct route route_to_filter(struct active *active, const char *address)
{
    const char *filter = active->envelope.content_filter, *colon = strchr(filter, ':'), *at = strrchr(address, '@');
    const char *next_hop = colon != NULL ? colon + 1 : "";
    if (*next_hop == '\0')
        next_hop = settings.filter_next_hop;
    if (*next_hop == '\0')
        next_hop = at != NULL ? at + 1 : settings.host_name;
    return (struct route){.status = TABLE_FOUND, .address = arena_strdup(active->arena, ""),
                          .transport = arena_strndup(active->arena, filter, strcspn(filter, ":")),
                          .next_hop = arena_strdup(active->arena, next_hop)};
}

static const struct route *apply_filter(struct active *active)
{
    struct route *filtered = arena_alloc_array(active->arena, active->envelope.recipient_count, sizeof *filtered);
    size_t count = 0;
    for (uint32_t i = 0; i < active->envelope.recipient_count; i++)
        if (!active->recipients[i].done)
            filtered[count++] = route_to_filter(active, active->envelope.recipients[i].address);
    return filtered;
}

static bool is_double_bounce(const char *address)
{
    struct slice local = slice_of(settings.double_bounce_sender);
    if (!slice_starts_with_nocase(slice_of(address), local) || address[local.len] != '@')
        return false;
    const char *domain = address + local.len + 1;
    return text_equal_nocase(domain, settings.host_name) || text_equal_nocase(domain, config_string(settings.config, "myorigin"));
}

/* What is sent to the sender of our own notifications and probes has said all that there was to say. */
static bool route_discard(struct active *active, uint32_t index)
{
    const char *address = active->envelope.recipients[index].address;
    if (!is_double_bounce(address) && !probe_sender_matches(settings.config, address, active->active_us / 1000000))
        return false;
    settle_locally(active, index, "qmgr", DELIVERY_SENT, "2.0.0", "undeliverable postmaster notification discarded");
    return true;
}

/* Takes one message's routes. count of them are used. */
static size_t route_apply(struct active *active, const struct route *routes)
{
    if (active->envelope.content_filter[0] != '\0')
        routes = apply_filter(active);
    size_t limit = active->envelope.recipient_count, count = 0;
    uint32_t *open = arena_alloc_array(active->arena, limit, sizeof *open);
    bool *taken = arena_alloc_array(active->arena, limit, sizeof *taken);
    active->jobs++; /* not settled before all are handed out */
    for (uint32_t i = 0; i < limit; i++) {
        if (active->recipients[i].done)
            continue;
        const struct route *route = &routes[count];
        open[count++] = i;
        taken[count - 1] = route_discard(active, i);
        if (taken[count - 1])
            continue;
        if (route->status == TABLE_ERROR)
            settle_locally(active, i, "error", DELIVERY_DEFERRED, "4.3.0",
                           *route->reason != '\0' ? route->reason : "address resolver failure");
        else if (*route->address != '\0')
            active->envelope.recipients[i].address = arena_strdup(active->arena, route->address);
    }
    route_group(active, routes, open, taken, count);
    active->jobs--;
    active->routed = true;
    return count;
}

/* lookup was restarted: it is asked again when it is back, but a message that makes it fail is put off. */
static void route_lost(struct active *active)
{
    if (++active->route_losses < MOST_LOSSES) {
        route_message(active);
        return;
    }
    active->jobs++;
    for (uint32_t i = 0; i < active->envelope.recipient_count; i++)
        if (!active->recipients[i].done)
            settle_locally(active, i, "error", DELIVERY_DEFERRED, "4.3.0", "address resolver failure");
    active->jobs--;
    active->routed = true;
    settle_check(active);
}

static void route_answered(void *context, enum ipc_status status, struct slice body)
{
    struct route_question *question = context;
    struct arena *arena = arena_new();
    struct route *routes = NULL;
    size_t count = 0, wanted = 0, used = 0;
    for (size_t i = 0; i < question->count; i++)
        wanted += active_open_recipients(question->messages[i]);
    if (status == IPC_OK && (!route_answer_decode(body, arena, &routes, &count) || count != wanted))
        log_fatal("queue->lookup: malformed ROUTE answer");
    for (size_t i = 0; i < question->count; i++) {
        struct active *active = question->messages[i];
        if (status != IPC_OK) {
            route_lost(active);
            continue;
        }
        used += route_apply(active, routes + used);
        settle_check(active);
    }
    arena_free(arena);
    free(question->messages);
    free(question);
}

/* --- the question ------------------------------------------------------------------------- */

/* Moves messages with the first one's sender from to_route into a question. */
static struct route_question *route_collect(const char ***addresses, size_t *address_count)
{
    struct route_question *question = mem_alloc(sizeof *question);
    const char *sender = TAILQ_FIRST(&to_route)->envelope.sender;
    bool probes = TAILQ_FIRST(&to_route)->probe != NULL; /* they have routes of their own */
    struct active *active;
    size_t most = 0, size = 0;
    *addresses = NULL;
    *address_count = 0;
    while ((active = TAILQ_FIRST(&to_route)) != NULL && (active->probe != NULL) == probes &&
           strcmp(active->envelope.sender, sender) == 0) {
        size_t count = active->envelope.recipient_count;
        if (question->count > 0 && *address_count + count > MOST_ADDRESSES)
            break;
        TAILQ_REMOVE(&to_route, active, route_link);
        if (question->count == most) {
            most = most == 0 ? 8 : most * 2;
            question->messages = mem_realloc_array(question->messages, most, sizeof active);
        }
        question->messages[question->count++] = active;
        if (*address_count + count > size) {
            size = (*address_count + count) * 2;
            *addresses = mem_realloc_array(*addresses, size, sizeof **addresses);
        }
        for (size_t i = 0; i < count; i++)
            if (!active->recipients[i].done)
                (*addresses)[(*address_count)++] = active->envelope.recipients[i].address;
    }
    return question;
}

static void route_hook_run(struct fiber_turn_hook *hook UNUSED)
{
    struct ipc_channel *lookup = role_peer(ROLE_LOOKUP, NULL);
    struct str body = STR_EMPTY;
    while (lookup != NULL && !ipc_is_lost(lookup) && !TAILQ_EMPTY(&to_route)) {
        const char **addresses;
        size_t count;
        struct route_question *question = route_collect(&addresses, &count);
        str_clear(&body);
        route_question_encode(question->messages[0]->envelope.sender, addresses, count, &body);
        free(addresses);
        enum lookup_record type = question->messages[0]->probe != NULL ? LOOKUP_ROUTE_PROBE : LOOKUP_ROUTE;
        if (!ipc_request(lookup, type, str_slice(&body), -1, route_answered, question))
            route_answered(question, IPC_LOST, SLICE(""));
    }
    str_free(&body);
}

void route_message(struct active *active)
{
    TAILQ_INSERT_TAIL(&to_route, active, route_link);
    fiber_at_turn_end(&route_hook);
}

void route_peer_opened(void)
{
    fiber_at_turn_end(&route_hook);
}
