/* SPDX-License-Identifier: ISC */
/*
 * probe: address verification. A probe is a message without content that is routed and handed to a delivery agent like any
 * other, and that the agent takes no further than to know whether the address would be accepted. It lives in memory only:
 * it is never stored, deferred, bounced or listed. Its result goes to whoever asked, and into the state role's memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/delivery_report.h"
#include "common/mail/lookup_protocol.h"
#include "common/mail/probe_sender.h"
#include "common/mail/quote.h"
#include "common/mail/verify_record.h"
#include "common/state/state_client.h"
#include "queue/queue.h"

#define LOOKUP_TIMEOUT 60 /* seconds */

/* Somebody who waits for the result. */
struct probe_waiter {
    struct intake_client *client;
    uint32_t request;
    struct probe_waiter *next;
};

struct probe {
    struct active *active; /* NULL until it is on its way */
    struct probe_waiter *waiters;
    bool known_good;       /* a failure changes nothing */
    uint8_t status;        /* enum verify_status; VERIFY_UNKNOWN: no result yet */
    char *text;
    UT_hash_handle hh;
    char address[];
};

static struct probe *probes; /* under way, by address */

/* --- the result -------------------------------------------------------------------------- */

static void probe_remember(const char *address, const struct probe *probe)
{
    const struct verify_entry entry = {probe->status, wall_us() / 1000000, probe->text};
    int64_t lifetime = probe->status == VERIFY_OK ? settings.verify_positive_expire : settings.verify_negative_expire;
    struct str value = STR_EMPTY;
    verify_entry_encode(&entry, &value);
    state_put(VERIFY_STORE, address, str_slice(&value), lifetime < UINT32_MAX ? (uint32_t)lifetime : UINT32_MAX);
    str_free(&value);
}

static void probe_answer(struct probe *probe, enum verify_status status, const char *text)
{
    struct probe_waiter *waiter;
    struct str body = STR_EMPTY;
    verify_answer_encode(status, text, &body);
    while ((waiter = probe->waiters) != NULL) {
        probe->waiters = waiter->next;
        intake_answer(waiter->client, waiter->request, str_slice(&body));
        free(waiter);
    }
    str_free(&body);
}

/* What is not to be remembered is not told either: the address stays unknown, as in Postfix. */
static void probe_finish(struct probe *probe)
{
    bool is_kept = probe->status == VERIFY_OK || (settings.verify_negative_cache && probe->status != VERIFY_UNKNOWN);
    if (is_kept && (probe->status == VERIFY_OK || !probe->known_good)) {
        probe_remember(probe->address, probe);
        const char *target = probe->active != NULL ? probe->active->envelope.recipients[0].address : probe->address;
        if (strcmp(target, probe->address) != 0) /* an alias: now both are known */
            probe_remember(target, probe);
    }
    probe_answer(probe, is_kept ? (enum verify_status)probe->status : VERIFY_UNKNOWN, is_kept ? probe->text : VERIFY_IN_PROGRESS);
    HASH_DEL(probes, probe);
    free(probe->text);
    free(probe);
}

static void probe_set(struct probe *probe, enum verify_status status, const char *text)
{
    if (probe->status != VERIFY_UNKNOWN)
        return;
    probe->status = (uint8_t)status;
    probe->text = mem_strndup(text, strnlen(text, VERIFY_TEXT_LIMIT));
}

void probe_take_result(struct active *active, const struct recipient_result *result)
{
    static const uint8_t statuses[] = {VERIFY_OK, VERIFY_DEFERRED, VERIFY_BOUNCED, VERIFY_DEFERRED};
    active->targets[0].outcome = OUTCOME_SENT; /* decided: nothing else follows from it */
    active->recipients[0].done = true;
    probe_set(active->probe, (enum verify_status)statuses[result->status], result->reason != NULL ? result->reason : "");
}

void probe_settled(struct active *active)
{
    struct probe *probe = active->probe;
    struct message *message = active->message;
    log_info_as("qmgr", "%s: removed", message->queue_id);
    probe_set(probe, VERIFY_DEFERRED, "unknown mail transport error");
    probe_finish(probe);
    active_free(active);
    free(message);
}

/* --- the message ------------------------------------------------------------------------------- */

static char *copy(struct arena *arena, const char *text)
{
    return arena_strdup(arena, text);
}

static struct active *probe_message(struct probe *probe, uint32_t serial, const char *target)
{
    struct message *message = mem_alloc(sizeof *message); /* not in the table: no list of the queue shows it */
    struct active *active = active_new(message);
    struct arena *arena = active->arena;
    struct envelope *envelope = &active->envelope;
    char *empty = copy(arena, "");
    *envelope = (struct envelope){
        .arrival_us = wall_us(), .flags = ENVELOPE_PROBE, .client_name = empty, .client_address = empty,
        .client_port = empty, .helo_name = empty, .protocol_name = empty, .sasl_method = empty, .sasl_username = empty,
        .sasl_sender = empty, .log_ident = empty, .content_filter = empty, .message_id = empty, .dsn_envelope_id = empty,
        .recipient_count = 1};
    queue_id_make(envelope->queue_id, envelope->arrival_us, serial, settings.long_ids);
    envelope->sender = probe_sender_make(settings.config, envelope->arrival_us / 1000000, arena);
    envelope->recipients = arena_alloc(arena, sizeof *envelope->recipients);
    envelope->recipients[0] = (struct recipient){.address = copy(arena, target), .original = copy(arena, probe->address),
                                                 .dsn_original = empty, .notify = NOTIFY_NEVER};
    active->recipients = arena_alloc(arena, sizeof *active->recipients);
    active->targets = arena_alloc(arena, sizeof *active->targets);
    active->frame = mem_alloc(1); /* content in memory, though there is none */
    active->content = SLICE("");
    active->content_hash = frame_hash(active->content);
    active->probe = probe;
    message->serial = serial;
    message->state = MESSAGE_ACTIVE;
    snprintf(message->queue_id, sizeof message->queue_id, "%.*s", (int)sizeof message->queue_id - 1, envelope->queue_id);
    return active;
}

/* Postfix's probes are messages that every program on their way logs. */
static void probe_log_start(const struct active *active, size_t recipients)
{
    static struct str sender;
    struct tm utc;
    time_t seconds = (time_t)(active->envelope.arrival_us / 1000000);
    str_clear(&sender);
    quote_append_address(&sender, active->envelope.sender);
    if (gmtime_r(&seconds, &utc) != NULL)
        log_info_as("cleanup", "%s: message-id=<%04d%02d%02d%02d%02d%02d.%s@%s>", active->message->queue_id, utc.tm_year + 1900,
                    utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, active->message->queue_id, settings.host_name);
    log_info_as("qmgr", "%s: from=<%s>, size=0, nrcpt=%zu (queue active)", active->message->queue_id, str_text(&sender),
                recipients);
}

static void probe_send(struct probe *probe, uint32_t serial, const char *target)
{
    struct active *active = probe_message(probe, serial, target);
    probe->active = active;
    active->active_us = wall_us();
    probe_log_start(active, 1);
    route_message(active);
}

/* Who is many need not be asked about. */
static void probe_is_list(struct probe *probe, uint32_t serial)
{
    struct active *active = probe_message(probe, serial, probe->address);
    probe->active = active;
    settle_locally(active, 0, "cleanup", DELIVERY_SENT, "2.0.0", "aliased to multiple recipients");
    probe_log_start(active, 0);
    probe_settled(active);
}

/* --- the way in ----------------------------------------------------------------------------------- */

static bool ask_lookup(const char *address, struct arena *arena, struct address_answer *answer)
{
    struct str body = STR_EMPTY, reply = STR_EMPTY;
    ipc_put_u8(&body, ADDRESS_EXPAND);
    ipc_put_text(&body, address);
    ipc_put_text(&body, ""); /* main.cf's profile */
    enum ipc_status status = role_call(ROLE_LOOKUP, NULL, LOOKUP_ADDRESS, str_slice(&body), &reply, NULL,
                                       deadline_in_s(LOOKUP_TIMEOUT));
    str_free(&body);
    if (status != IPC_OK)
        return false;
    if (!address_answer_decode(str_slice(&reply), arena, answer))
        log_fatal("queue->lookup: malformed ADDRESS answer");
    str_free(&reply);
    return true;
}

static bool take_serial(uint32_t *serial)
{
    int64_t deadline = deadline_in_s(LOOKUP_TIMEOUT);
    while (!spool_take_serials(&spool, 1, serial) || message_find(*serial) != NULL) {
        disk_kick();
        if (clock_ms() > deadline || fiber_sleep_until(deadline_in_ms(5)) != WAIT_OK)
            return false;
    }
    return true;
}

static void probe_fiber(void *arg)
{
    struct probe *probe = arg;
    struct arena *arena = arena_new();
    struct address_answer answer;
    uint32_t serial;
    bool works = ask_lookup(probe->address, arena, &answer) && !answer.expansion_failed && take_serial(&serial);
    if (!works) { /* no result at all: asked again by the next client */
        log_warning_as("verify", "cannot probe <%s>: try again later", probe->address);
        probe_finish(probe);
    } else if (answer.expanded_count > 1) {
        probe_is_list(probe, serial);
    } else {
        probe_send(probe, serial, answer.expanded_count == 1 ? answer.expanded[0] : answer.address);
    }
    arena_free(arena);
}

static struct probe *probe_new(const struct verify_question *question)
{
    size_t len = strlen(question->address);
    struct probe *probe = mem_alloc(sizeof *probe + len + 1);
    memcpy(probe->address, question->address, len);
    probe->status = VERIFY_UNKNOWN;
    HASH_ADD_STR(probes, address, probe);
    fiber_spawn("probe", probe_fiber, probe);
    return probe;
}

void probe_ask(struct intake_client *client, uint32_t request, const struct verify_question *question)
{
    struct probe *probe;
    HASH_FIND_STR(probes, question->address, probe);
    if (probe == NULL && HASH_COUNT(probes) >= settings.verify_pending_limit) {
        struct str body = STR_EMPTY;
        log_warning_as("verify", "too many probes under way: <%s> is not verified now", question->address);
        verify_answer_encode(VERIFY_UNKNOWN, VERIFY_IN_PROGRESS, &body);
        intake_answer(client, request, str_slice(&body));
        str_free(&body);
        return;
    }
    if (probe == NULL) {
        probe = probe_new(question);
        probe->known_good = (question->flags & VERIFY_KNOWN_GOOD) != 0;
    }
    struct probe_waiter *waiter = mem_alloc(sizeof *waiter);
    *waiter = (struct probe_waiter){client, request, probe->waiters};
    probe->waiters = waiter;
}
