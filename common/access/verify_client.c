/* SPDX-License-Identifier: ISC */
/*
 * verify_client: an address's result from the state role's memory, and from the queue's probe when there is none. A result
 * that is getting old is used while a probe renews it. The queue answers when the probe is done: nobody polls;
 * address_verify_poll_count and _delay say how long a client is kept waiting.
 */
#include "common/access/verify_client.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/probe_sender.h"
#include "common/mail/queue_protocol.h"
#include "common/process/role.h"
#include "common/state/state_client.h"

struct verify_settings verify_settings;

void verify_configure(const struct config *config)
{
    verify_settings = (struct verify_settings){
        .poll_ms = (config_int(config, "address_verify_poll_count") - 1) *
                   config_seconds(config, "address_verify_poll_delay") * 1000,
        .positive_expire = config_seconds(config, "address_verify_positive_expire_time"),
        .positive_refresh = config_seconds(config, "address_verify_positive_refresh_time"),
        .negative_expire = config_seconds(config, "address_verify_negative_expire_time"),
        .negative_refresh = config_seconds(config, "address_verify_negative_refresh_time"),
        .service_name = config_string(config, "address_verify_service_name"),
    };
}

bool verify_is_probe_sender(const char *address)
{
    return probe_sender_matches(role_config(), address, wall_us() / 1000000);
}

/* --- what is remembered ---------------------------------------------------------------- */

/* The state role forgets by itself; main.cf may have changed since. */
static bool is_fresh(const struct verify_entry *entry, int64_t age)
{
    return age < (entry->status == VERIFY_OK ? verify_settings.positive_expire : verify_settings.negative_expire);
}

static bool needs_renewal(const struct verify_entry *entry, int64_t age)
{
    return age > (entry->status == VERIFY_OK ? verify_settings.positive_refresh : verify_settings.negative_refresh);
}

static bool recall(const char *address, struct arena *arena, struct verify_entry *entry, int64_t *age)
{
    struct slice value;
    if (!state_get(VERIFY_STORE, address, arena, &value) || !verify_entry_decode(value, arena, entry))
        return false;
    *age = wall_us() / 1000000 - entry->updated;
    return is_fresh(entry, *age);
}

/* --- probes ------------------------------------------------------------------------------- */

static void ignore_answer(void *context UNUSED, enum ipc_status status UNUSED, struct slice body UNUSED)
{
}

static void start_probe(const char *address, uint8_t flags)
{
    const struct verify_question question = {(char *)(uintptr_t)address, flags};
    struct ipc_channel *queue = role_peer(ROLE_QUEUE, NULL);
    struct str body = STR_EMPTY;
    verify_question_encode(&question, &body);
    if (queue == NULL || !ipc_request(queue, QUEUE_VERIFY, str_slice(&body), -1, ignore_answer, NULL))
        log_warning("%s service failure", verify_settings.service_name);
    str_free(&body);
}

static bool wait_for_probe(const char *address, struct arena *arena, enum verify_status *status, const char **text)
{
    const struct verify_question question = {(char *)(uintptr_t)address, 0};
    struct str body = STR_EMPTY, reply = STR_EMPTY;
    char *answer;
    verify_question_encode(&question, &body);
    enum ipc_status outcome = role_call(ROLE_QUEUE, NULL, QUEUE_VERIFY, str_slice(&body), &reply, NULL,
                                        deadline_in_ms(verify_settings.poll_ms));
    str_free(&body);
    if (outcome == IPC_TIMEOUT)
        return true; /* it goes on, and is remembered for the next time */
    if (outcome != IPC_OK) {
        log_warning("%s service failure", verify_settings.service_name);
        return false;
    }
    if (!verify_answer_decode(str_slice(&reply), arena, status, &answer))
        log_fatal("queue service: malformed answer to VERIFY");
    *text = answer;
    str_free(&reply);
    return true;
}

bool verify_recall(const char *address, struct arena *arena, enum verify_status *status, const char **text)
{
    struct verify_entry entry;
    int64_t age;
    *status = VERIFY_UNKNOWN;
    *text = VERIFY_IN_PROGRESS;
    if (*address == '\0' || !state_is_there() || !recall(address, arena, &entry, &age)) /* who only wants to know does not wait for it */
        return false;
    *status = (enum verify_status)entry.status;
    *text = entry.text;
    return true;
}

bool verify_address(const char *address, struct arena *arena, enum verify_status *status, const char **text)
{
    struct verify_entry entry;
    int64_t age;
    *status = VERIFY_UNKNOWN;
    *text = VERIFY_IN_PROGRESS;
    if (recall(address, arena, &entry, &age)) {
        *status = (enum verify_status)entry.status;
        *text = entry.text;
        if (needs_renewal(&entry, age))
            start_probe(address, entry.status == VERIFY_OK ? VERIFY_KNOWN_GOOD : 0);
        return true;
    }
    if (verify_settings.poll_ms > 0)
        return wait_for_probe(address, arena, status, text);
    start_probe(address, 0);
    return true;
}
