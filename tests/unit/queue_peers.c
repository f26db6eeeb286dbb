/* SPDX-License-Identifier: ISC */
/* queue_peers: plays the roles around the queue. Stands in for common/process/role.c, which it replaces at link time. */
#include "tests/unit/queue_peers.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/lookup_protocol.h"
#include "common/process/role.h"
#include "queue/role.h"

struct queue_peers_seen seen;
bool queue_peers_flip, queue_peers_draining;
const char *queue_peers_flip_only;
unsigned queue_peers_hold_answers;
void (*queue_peers_on_answer)(const char *queue_id, uint32_t index);

static struct config *config;
static struct ipc_channel *lookup_channel, *agent_channel;

/* --- what the queue asks its process for ------------------------------------------------ */

struct ipc_channel *role_peer(enum role_id peer, const char *service)
{
    if (peer == ROLE_STATE)
        return NULL;
    if (peer == ROLE_LOOKUP)
        return lookup_channel;
    if (peer == ROLE_LMTP && service != NULL && strcmp(service, "lmtp") == 0)
        return agent_channel;
    return NULL;
}

struct ipc_channel *role_wait_peer(enum role_id peer, const char *service, int64_t deadline UNUSED)
{
    return role_peer(peer, service);
}

enum ipc_status role_call(enum role_id peer, const char *service, uint16_t type, struct slice body, struct str *reply,
                          int *reply_fd, int64_t deadline)
{
    struct ipc_channel *channel = role_peer(peer, service);
    return channel != NULL ? ipc_call(channel, type, body, -1, reply, reply_fd, deadline) : IPC_LOST;
}

bool role_is_draining(void) { return queue_peers_draining; }
bool role_is_stopping(void) { return queue_peers_draining; }
void role_finished(void) { fiber_loop_stop(); }

/* --- lookup: local part "error..." goes to error:, domain "no.agent" to a transport without a process ------ */

static void on_route(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct str answer = STR_EMPTY;
    char *sender, **addresses;
    size_t count;
    if (!route_question_decode(message->body, arena, &sender, &addresses, &count))
        log_panic("malformed ROUTE");
    seen.routes++;
    for (size_t i = 0; i < count; i++) {
        const char *at = strrchr(addresses[i], '@');
        const char *domain = at != NULL ? at + 1 : "";
        struct route route = {.status = TABLE_FOUND, .transport = (char *)(uintptr_t)"lmtp", .next_hop = (char *)(uintptr_t)domain,
                              .address = addresses[i], .reason = (char *)(uintptr_t)""};
        if (strncmp(addresses[i], "error", 5) == 0) {
            route.transport = (char *)(uintptr_t)"error";
            route.next_hop = (char *)(uintptr_t)"5.1.1 user unknown";
        } else if (strncmp(addresses[i], "discard", 7) == 0) {
            route.transport = (char *)(uintptr_t)"discard";
        } else if (strncmp(addresses[i], "tablefail", 9) == 0) {
            route.status = TABLE_ERROR;
        } else if (strcmp(domain, "no.agent") == 0) {
            route.transport = (char *)(uintptr_t)"nosuch";
        }
        route_encode(&route, &answer);
    }
    ipc_reply(channel, message->id, str_slice(&answer), -1);
    str_free(&answer);
    arena_free(arena);
}

/* "list..." is an alias of two mailboxes, of "noalias..." nobody can tell, anybody else is himself. */
static void on_address(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct ipc_reader reader = ipc_reader_of(message->body);
    struct str body = STR_EMPTY;
    char *empty = arena_strdup(arena, ""), *members[] = {arena_strdup(arena, "one@example.org"), arena_strdup(arena, "two@example.org")};
    if (ipc_get_u8(&reader) != ADDRESS_EXPAND)
        log_panic("not asked to expand");
    char *address = ipc_get_text(&reader, arena);
    bool is_list = strncmp(address, "list", 4) == 0;
    (void)ipc_get_text(&reader, arena);
    if (!ipc_reader_finish(&reader))
        log_panic("malformed ADDRESS");
    struct address_answer answer = {
        .address = address, .unknown_in = empty, .failed_table = empty, .transport = empty, .next_hop = empty, .canonical = address,
        .expansion_reason = empty, .expanded = is_list ? members : &address, .expanded_count = is_list ? 2 : 1,
        .expansion_failed = strncmp(address, "noalias", 7) == 0 && !queue_peers_flip};
    address_answer_encode(&answer, &body);
    ipc_reply(channel, message->id, str_slice(&body), -1);
    str_free(&body);
    arena_free(arena);
}

/* --- the agent: "bounce...", "defer...", "flip...", "dead...", "slow...", anything else is delivered ------------- */

static bool flipped(const char *address)
{
    return queue_peers_flip || (queue_peers_flip_only != NULL && strcmp(address, queue_peers_flip_only) == 0);
}

static void agent_decide(const char *address, struct recipient_result *result)
{
    result->status = DELIVERY_SENT;
    result->dsn = (char *)(uintptr_t)"2.0.0";
    result->reason = (char *)(uintptr_t)"250 2.0.0 Ok";
    result->remote_host = result->diagnostic = (char *)(uintptr_t)"";
    if (strncmp(address, "bounce", 6) == 0) {
        result->status = DELIVERY_BOUNCED;
        result->dsn = (char *)(uintptr_t)"5.1.1";
        result->reason = (char *)(uintptr_t)"host mail.example[192.0.2.1] said: 550 5.1.1 no such user";
        result->remote_host = (char *)(uintptr_t)"mail.example[192.0.2.1]";
        result->diagnostic = (char *)(uintptr_t)"smtp; 550 5.1.1 no such user";
    } else if (strncmp(address, "defer", 5) == 0 || (strncmp(address, "flip", 4) == 0 && !flipped(address))) {
        result->status = DELIVERY_DEFERRED;
        result->dsn = (char *)(uintptr_t)"4.2.0";
        result->reason = (char *)(uintptr_t)"host mail.example[192.0.2.1] said: 450 4.2.0 later";
    } else if (strncmp(address, "dead", 4) == 0) {
        result->status = DELIVERY_DEFERRED;
        result->dsn = (char *)(uintptr_t)"4.4.1";
        result->reason = (char *)(uintptr_t)"connect to mail.example[192.0.2.1]:24: Connection refused";
    }
}

static void agent_read_content(const struct delivery *delivery, int fd)
{
    size_t len = delivery->content_size < sizeof seen.last_content - 1 ? (size_t)delivery->content_size :
                                                                        sizeof seen.last_content - 1;
    if (!delivery->in_file)
        memcpy(seen.last_content, delivery->content.data, len);
    else if (pread(fd, seen.last_content, len, (off_t)delivery->content_offset) != (ssize_t)len)
        log_panic("the content cannot be read");
    seen.last_content[len] = '\0';
}

/* An answer that takes its time. */
struct slow_answer {
    struct ipc_channel *channel;
    uint32_t id;
    struct str body;
};

static void slow_answer_fiber(void *arg)
{
    struct slow_answer *slow = arg;
    if (fiber_sleep_until(deadline_in_ms(100)) == WAIT_OK)
        ipc_reply(slow->channel, slow->id, str_slice(&slow->body), -1);
    str_free(&slow->body);
    free(slow);
}

static void on_deliver(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct delivery delivery;
    struct str answer = STR_EMPTY;
    if (!delivery_decode(message->body, arena, &delivery) || delivery.in_file != (message->fd >= 0))
        log_panic("malformed DELIVER");
    seen.deliveries++;
    agent_read_content(&delivery, message->fd);
    snprintf(seen.last_sender, sizeof seen.last_sender, "%s", delivery.envelope.sender);
    struct delivery_result result = {.recipient_count = delivery.recipient_count};
    result.recipients = arena_alloc_array(arena, delivery.recipient_count, sizeof *result.recipients);
    for (size_t i = 0; i < delivery.recipient_count; i++) {
        const char *address = delivery.recipients[i].to.address;
        seen.recipients++;
        snprintf(seen.last_recipient, sizeof seen.last_recipient, "%s", address);
        result.recipients[i].index = delivery.recipients[i].index;
        agent_decide(address, &result.recipients[i]);
        if (queue_peers_on_answer != NULL && result.recipients[i].status != DELIVERY_DEFERRED && !queue_peers_hold_answers)
            queue_peers_on_answer(delivery.envelope.queue_id, result.recipients[i].index);
        if (strncmp(address, "dead", 4) == 0) {
            result.host_unreachable = true;
            result.reason = result.recipients[i].reason;
        }
    }
    delivery_result_encode(&result, &answer);
    if (strncmp(seen.last_recipient, "slow", 4) == 0) {
        struct slow_answer *slow = mem_alloc(sizeof *slow);
        *slow = (struct slow_answer){channel, message->id, answer};
        answer = STR_EMPTY;
        fiber_spawn("slow", slow_answer_fiber, slow);
    } else if (!queue_peers_hold_answers)
        ipc_reply(channel, message->id, str_slice(&answer), -1);
    str_free(&answer);
    arena_free(arena);
}

static const struct ipc_rule lookup_rules[] = {
    {LOOKUP_ROUTE, "ROUTE", IPC_REQUEST, false, IPC_ANY_STATE, 1 << 24, on_route},
    {LOOKUP_ADDRESS, "ADDRESS", IPC_REQUEST, false, IPC_ANY_STATE, 1 << 16, on_address}};
static const struct ipc_edge lookup_edge = {"test lookup", IPC_FROM_ROLE, lookup_rules, 2, NULL};
static const struct ipc_rule agent_rules[] = {
    {DELIVER, "DELIVER", IPC_REQUEST, false, IPC_ANY_STATE, 1 << 24, on_deliver},
    {DELIVER_FD, "DELIVER_FD", IPC_REQUEST, true, IPC_ANY_STATE, 1 << 24, on_deliver}};
static const struct ipc_edge agent_edge = {"test agent", IPC_FROM_ROLE, agent_rules, 2, NULL};

/* --- putting it together --------------------------------------------------------------------- */

static struct ipc_channel *agent_end;

static struct ipc_channel *connect_peer(enum role_id peer, const struct ipc_edge *edge, struct ipc_channel **other)
{
    int fds[2];
    ipc_socket_pair(fds);
    struct ipc_channel *ours = ipc_open(edge, fds[0], NULL);
    struct ipc_channel *queues = ipc_open(queue_role.edge(peer), fds[1], NULL);
    if (peer == ROLE_LMTP)
        agent_channel = queues;
    else if (peer == ROLE_LOOKUP)
        lookup_channel = queues;
    queue_role.peer_opened(peer, "lmtp", queues);
    if (other != NULL)
        *other = ours;
    return ours;
}

void queue_peers_start(const char *directory, const char *const *parameters)
{
    struct role_start start = {.service = "queue"};
    memset(&seen, 0, sizeof seen);
    config = config_new_default();
    config_set(config, "queue_directory", directory);
    config_set(config, "myhostname", "mx.example");
    const struct passwd *self = getpwuid(geteuid()); /* make check needs no root: we are who may change things */
    config_set(config, "mail_owner", self != NULL ? self->pw_name : "root");
    for (; parameters != NULL && *parameters != NULL; parameters += 2)
        config_set(config, parameters[0], parameters[1]);
    start.config = config;
    queue_role.open(&start);
    connect_peer(ROLE_LOOKUP, &lookup_edge, NULL);
    connect_peer(ROLE_LMTP, &agent_edge, &agent_end);
    queue_role.start(&start);
}

void queue_peers_restart_agent(void)
{
    ipc_close(agent_end);
    agent_channel = NULL;
    for (int i = 0; i < 5; i++)
        (void)fiber_yield();
    connect_peer(ROLE_LMTP, &agent_edge, &agent_end);
}

static const struct ipc_edge client_edge = {.name = "test smtpd", .trust = IPC_FROM_CLIENT};

struct ipc_channel *queue_peers_client(void)
{
    return connect_peer(ROLE_SMTPD, &client_edge, NULL);
}

uint32_t queue_peers_serial(struct ipc_channel *channel)
{
    static uint32_t next, left;
    if (left == 0) {
        struct str reply;
        if (ipc_call(channel, QUEUE_IDS, SLICE(""), -1, &reply, NULL, deadline_in_s(5)) != IPC_OK)
            log_panic("no serials");
        struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
        next = ipc_get_u32(&reader);
        left = ipc_get_u32(&reader);
        str_free(&reply);
    }
    left--;
    return next++;
}

void queue_peers_submission(uint32_t serial, const char *sender, const char *recipients, struct slice content,
                            struct str *out, char queue_id[QUEUE_ID_SIZE])
{
    struct submission submission = {.serial = serial, .content = content, .content_size = content.len,
                                    .content_hash = frame_hash(content)};
    struct envelope *envelope = &submission.envelope;
    struct arena *arena = arena_new();
    struct slice rest = slice_of(recipients), word;
    envelope->arrival_us = wall_us();
    envelope->sender = arena_strdup(arena, sender);
    queue_id_make(envelope->queue_id, envelope->arrival_us, serial, false);
    envelope->recipients = arena_alloc_array(arena, strlen(recipients) / 2 + 1, sizeof(struct recipient));
    while (slice_next_token(&rest, " ", &word)) {
        struct recipient *recipient = &envelope->recipients[envelope->recipient_count++];
        recipient->address = recipient->original = arena_slice(arena, word);
        recipient->dsn_original = arena_strdup(arena, "");
    }
    memcpy(queue_id, envelope->queue_id, QUEUE_ID_SIZE);
    submission_encode(&submission, out);
    arena_free(arena);
}

enum submit_status queue_peers_submit(struct ipc_channel *channel, const char *sender, const char *recipients,
                                      const char *content, char queue_id[QUEUE_ID_SIZE])
{
    char own_id[QUEUE_ID_SIZE];
    struct str body = STR_EMPTY, reply;
    queue_peers_submission(queue_peers_serial(channel), sender, recipients, slice_of(content), &body,
                           queue_id != NULL ? queue_id : own_id);
    enum ipc_status status =
        ipc_call(channel, QUEUE_SUBMIT, str_slice(&body), -1, &reply, NULL, deadline_in_s(20));
    if (status != IPC_OK || reply.len == 0)
        log_panic("no answer to SUBMIT");
    enum submit_status answer = (enum submit_status)reply.data[0];
    str_free(&body);
    str_free(&reply);
    return answer;
}
