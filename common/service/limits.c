/* SPDX-License-Identifier: ISC */
/*
 * limits: who does something too often gets a 4xx, in Postfix's words. Called by policy.c at the beginning and end of a
 * session and by the verbs through smtp_session_count(). The counters are this process's: a successor after a
 * reload begins anew.
 */
#include "common/service/limits.h"

#include "common/base/log.h"
#include "common/process/role.h"
#include "common/service/rate.h"

#define ROOM 100000        /* networks: about 15 MB */
#define IDLE_TIME 100      /* seconds without a client: anvil(8) would end now and say what it saw */
#define REPORT_INTERVAL 10 /* seconds between two looks whether statistics are due */

static struct {
    int64_t limits[RATE_KIND_COUNT]; /* 0: none */
    int64_t connections;
} settings;

static struct smtpd_client *client_of(const struct smtp_session *session)
{
    return session->owner;
}

static int64_t now_s(void)
{
    return clock_ms() / 1000;
}

/* --- statistics --------------------------------------------------------------------------- */

void limits_finish(void)
{
    struct str text = STR_EMPTY;
    struct slice rest, line;
    rate_report(smtpd.service, &text);
    rest = str_slice(&text);
    while (slice_next_token(&rest, "\n", &line))
        log_info_as("anvil", "%.*s", SLICE_ARGS(line));
    str_free(&text);
}

static void report_fiber(void *arg UNUSED)
{
    while (fiber_sleep_until(deadline_in_s(REPORT_INTERVAL)) == WAIT_OK && !role_is_draining())
        if (rate_report_is_due(now_s()))
            limits_finish();
}

void limits_start(const struct config *config)
{
    struct rate_settings rates = {
        .time_unit_s = config_seconds(config, "anvil_rate_time_unit"),
        .report_time_s = config_seconds(config, "anvil_status_update_time"),
        .idle_time_s = IDLE_TIME,
        .ipv4_prefix = (unsigned)config_int(config, "smtpd_client_ipv4_prefix_length"),
        .ipv6_prefix = (unsigned)config_int(config, "smtpd_client_ipv6_prefix_length"),
        .room = ROOM,
    };
    settings.connections = config_int(config, "smtpd_client_connection_count_limit");
    settings.limits[RATE_CONNECTION] = config_int(config, "smtpd_client_connection_rate_limit");
    settings.limits[RATE_MESSAGE] = config_int(config, "smtpd_client_message_rate_limit");
    settings.limits[RATE_RECIPIENT] = config_int(config, "smtpd_client_recipient_rate_limit");
    settings.limits[RATE_TLS] = config_int(config, "smtpd_client_new_tls_session_rate_limit");
    settings.limits[RATE_AUTH] = config_int(config, "smtpd_client_auth_rate_limit");
    rate_configure(&rates);
    fiber_spawn("statistics", report_fiber, NULL);
}

/* --- connections ------------------------------------------------------------------------------ */

const char *limits_connect(struct smtp_session *session)
{
    struct smtpd_client *client = client_of(session);
    if (client->supposed != NULL || (session->flags & SESSION_MAY_XCLIENT) != 0 || client_list_find(&smtpd.limit_exceptions, session->client_name, session->client_address,
                                                session->scratch) == CLIENT_LIST_YES)
        return NULL;
    client->rate = rate_connect(session->client_address, now_s());
    if (client->rate == NULL)
        return NULL;
    uint32_t connections = rate_connections(client->rate), events = rate_peek(client->rate, RATE_CONNECTION, now_s());
    if (settings.connections > 0 && connections > settings.connections)
        log_warning("Connection concurrency limit exceeded: %u from %s for service %s", connections, session->client,
                    smtpd.service);
    else if (settings.limits[RATE_CONNECTION] > 0 && events > settings.limits[RATE_CONNECTION])
        log_warning("Connection rate limit exceeded: %u from %s for service %s", events, session->client, smtpd.service);
    else
        return NULL;
    return arena_printf(session->scratch, "421 4.7.0 %s Error: too many connections from %s", smtpd.server.my_hostname,
                        session->client_address);
}

void limits_disconnect(struct smtpd_client *client)
{
    rate_disconnect(client->rate, now_s());
    client->rate = NULL;
}

/* --- what a client does -------------------------------------------------------------------------- */

static const struct { enum rate_kind kind; const char *what; } events[] = {
    [SMTP_EVENT_MESSAGE] = {RATE_MESSAGE, "Message delivery request rate limit exceeded"},
    [SMTP_EVENT_RECIPIENT] = {RATE_RECIPIENT, "Recipient address rate limit exceeded"},
    [SMTP_EVENT_AUTH] = {RATE_AUTH, "AUTH command rate limit exceeded"},
    [SMTP_EVENT_TLS] = {RATE_TLS, "New TLS session rate limit exceeded"},
    [SMTP_EVENT_TLS_REQUEST] = {RATE_TLS, "Refusing STARTTLS request"},
    [SMTP_EVENT_TLS_WRAPPER] = {RATE_TLS, "Refusing TLS service request"},
};

static const char *reply_to(struct smtp_session *session, enum smtp_event event)
{
    switch (event) {
    case SMTP_EVENT_MESSAGE:
        return arena_printf(session->scratch, "450 4.7.1 Error: too much mail from %s", session->client_address);
    case SMTP_EVENT_RECIPIENT:
        return arena_printf(session->scratch, "450 4.7.1 Error: too many recipients from %s", session->client_address);
    case SMTP_EVENT_AUTH:
        return arena_printf(session->scratch, "450 4.7.1 Error: too many AUTH commands from %s", session->client_address);
    case SMTP_EVENT_TLS:
        return arena_printf(session->scratch, "421 4.7.0 %s Error: too many new TLS sessions from %s",
                            smtpd.server.my_hostname, session->client);
    default:
        return arena_printf(session->scratch, "454 4.7.0 Error: too many new TLS sessions from %s", session->client);
    }
}

const char *limits_event(struct smtp_session *session, enum smtp_event event)
{
    struct rate_client *rate = client_of(session)->rate;
    enum rate_kind kind = events[event].kind;
    bool only_asks = event == SMTP_EVENT_TLS_REQUEST || event == SMTP_EVENT_TLS_WRAPPER;
    if (rate == NULL || settings.limits[kind] <= 0)
        return NULL;
    uint32_t count = only_asks ? rate_peek(rate, kind, now_s()) : rate_add(rate, kind, now_s());
    if (count <= settings.limits[kind])
        return NULL;
    if (only_asks)
        log_warning("%s from %s for service %s", events[event].what, session->client, smtpd.service);
    else
        log_warning("%s: %u from %s for service %s", events[event].what, count, session->client, smtpd.service);
    return reply_to(session, event);
}
