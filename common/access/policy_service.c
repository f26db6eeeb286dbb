/* SPDX-License-Identifier: ISC */
/*
 * policy_service: which policy services the configuration names, and one question to one of them with its tries. A service
 * that fails is a warning in Postfix's words and no answer; what that means is the restriction's (restrict_policy.c).
 */
#include <errno.h>

#include "common/access/policy_reply.h"
#include "common/access/policy_service.h"
#include "common/base/log.h"

static struct {
    struct policy_service **list;
    size_t count;
    struct policy_spec defaults;
    struct arena *arena;
} known;

/* --- configuration --------------------------------------------------------------------- */

struct policy_service *policy_service_find(const char *text)
{
    for (size_t i = 0; i < known.count; i++)
        if (strcmp(known.list[i]->text, text) == 0)
            return known.list[i];
    return NULL;
}

size_t policy_connection_limit(void)
{
    return known.count * POLICY_CONNECTION_LIMIT;
}

static void add_service(const char *list, const char *text)
{
    if (policy_service_find(text) != NULL)
        return;
    struct policy_service **larger = arena_alloc_array(known.arena, known.count + 1, sizeof *larger);
    if (known.count > 0)
        memcpy(larger, known.list, known.count * sizeof *larger);
    struct policy_service *service = arena_alloc(known.arena, sizeof *service);
    service->text = text;
    service->spec = known.defaults;
    TAILQ_INIT(&service->idle);
    const char *problem = policy_spec_parse(text, known.arena, &service->spec);
    if (problem != NULL)
        log_fatal("%s: check_policy_service: %s", list, problem);
    larger[known.count++] = service;
    known.list = larger;
}

static void add_list(const struct restrict_list *list)
{
    for (size_t i = 0; i + 1 < list->count; i++)
        if (text_equal_nocase(list->words[i], "check_policy_service"))
            add_service(list->name, list->words[i + 1]);
}

void policy_services_configure(const struct config *config, struct arena *arena)
{
    known.arena = arena;
    known.defaults = (struct policy_spec){
        .timeout = config_seconds(config, "smtpd_policy_service_timeout"),
        .max_idle = config_seconds(config, "smtpd_policy_service_max_idle"),
        .max_ttl = config_seconds(config, "smtpd_policy_service_max_ttl"),
        .retry_delay = config_seconds(config, "smtpd_policy_service_retry_delay"),
        .request_limit = config_int(config, "smtpd_policy_service_request_limit"),
        .try_limit = config_int(config, "smtpd_policy_service_try_limit"),
        .default_action = config_string(config, "smtpd_policy_service_default_action"),
        .context = config_string(config, "smtpd_policy_service_policy_context"),
    };
    for (unsigned i = 0; i < STAGE_COUNT; i++)
        add_list(&smtpd.lists[i]);
    for (size_t i = 0; i < smtpd.class_count; i++)
        add_list(&smtpd.classes[i]);
}

/* --- one try ----------------------------------------------------------------------------- */

enum try_result {
    TRY_ANSWERED,
    TRY_FAILED,
    TRY_STALE, /* a kept connection that was closed before it took the question */
};

/* What Postfix calls a failure without an error number. */
static const char no_error[] = "Application error";

static enum try_result read_failed(const struct policy_connection *connection, enum io_status status,
                                   const struct policy_reply *partial, const char **error)
{
    const char *label = connection->service->spec.label;
    const char *reading = partial->inside_value ? "value" : "name";
    bool has_begun = stream_buffered(&connection->stream).len > 0;
    *error = no_error;
    switch (status) {
    case IO_EOF:
        if (has_begun)
            log_warning("premature end-of-input on %s while reading input attribute %s", label, reading);
        return connection->is_kept && !has_begun ? TRY_STALE : TRY_FAILED;
    case IO_TIMEOUT:
        if (has_begun)
            log_warning("timeout on %s while reading input attribute %s", label, reading);
        *error = strerror(ETIMEDOUT);
        return TRY_FAILED;
    case IO_CANCELLED:
        *error = strerror(ECANCELED);
        return TRY_FAILED;
    default:
        *error = strerror(connection->stream.error);
        return TRY_FAILED;
    }
}

static enum try_result reply_is_no_answer(const struct policy_service *service, enum policy_reply_status status)
{
    const char *label = service->spec.label;
    if (status == POLICY_REPLY_NO_VALUE)
        log_warning("missing value for string attribute action from %s", label);
    else if (status == POLICY_REPLY_NO_ACTION)
        log_warning("missing attribute action in input from %s", label);
    else if (status == POLICY_REPLY_TOO_LONG)
        log_warning("unreasonable reply length from %s: more than %d octets", label, POLICY_REPLY_LIMIT);
    else
        log_warning("NUL byte in reply from %s", label);
    return TRY_FAILED;
}

static enum try_result exchange(struct policy_connection *connection, struct slice request, struct arena *arena,
                                const char **action, const char **error)
{
    struct stream *stream = &connection->stream;
    struct policy_reply reply = {.length = 0};
    int64_t deadline = deadline_in_s(connection->service->spec.timeout);
    enum policy_reply_status parsed = POLICY_REPLY_PARTIAL;
    enum io_status status = stream_write(stream, request, deadline);
    while (status == IO_OK && parsed == POLICY_REPLY_PARTIAL) {
        status = stream_fill(stream, deadline);
        if (status == IO_OK)
            parsed = policy_reply_parse(stream_buffered(stream), &reply);
    }
    if (status != IO_OK)
        return read_failed(connection, status, &reply, error);
    *error = no_error;
    if (parsed != POLICY_REPLY_OK)
        return reply_is_no_answer(connection->service, parsed);
    *action = arena_slice(arena, reply.action);
    stream_consume(stream, reply.length);
    return TRY_ANSWERED;
}

static enum try_result try_once(struct policy_service *service, const struct smtp_session *session, struct slice request,
                                struct arena *arena, const char **action, const char **error)
{
    struct policy_connection *connection = policy_pool_take(service, session, arena, error);
    if (connection == NULL)
        return TRY_FAILED;
    enum try_result result = exchange(connection, request, arena, action, error);
    if (result == TRY_ANSWERED)
        policy_pool_put(connection, session);
    else
        policy_pool_drop(connection);
    return result;
}

/* Failures that a second try may mend are not worth a line. */
static bool is_worth_a_warning(const char *error)
{
    return error != no_error && strcmp(error, strerror(ENOENT)) != 0 && strcmp(error, strerror(EPIPE)) != 0 &&
           strcmp(error, strerror(ECONNRESET)) != 0;
}

const char *policy_service_ask(struct policy_service *service, const struct smtp_session *session, struct slice request,
                               struct arena *arena)
{
    for (int64_t tries = 1;; tries++) {
        const char *action = NULL, *error = no_error;
        enum try_result result = try_once(service, session, request, arena, &action, &error);
        if (result == TRY_ANSWERED)
            return action;
        if (result == TRY_STALE) { /* a server that was restarted: ask again at once, also when it was the last try */
            tries -= tries == service->spec.try_limit;
            continue;
        }
        if (tries >= service->spec.try_limit || is_worth_a_warning(error))
            log_warning("problem talking to server %s: %s", service->spec.label, error);
        if (tries >= service->spec.try_limit || fiber_sleep_until(deadline_in_s(service->spec.retry_delay)) != WAIT_OK)
            return NULL;
    }
}
