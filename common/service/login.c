/* SPDX-License-Identifier: ISC */
/*
 * login: when somebody may try to log in. Called by the AUTH verb on the session's fiber, before a response with a secret is passed
 * on. Who fails again and again is let through ever more slowly, per address and per login, whatever the port and however many
 * connections: the schedule is in `state` (common/state/turnstile.h), or in this process while that is away. Costs one
 * round trip a login.
 */
#include <arpa/inet.h>
#include <string.h>

#include "common/base/log.h"
#include "common/service/login_limit.h"
#include "common/service/service.h"
#include "common/state/state_client.h"

#define STORE "login"

struct login_attempt {
    struct turn_question question;
};

static struct {
    uint32_t delay_ms, delay_max_ms; /* 0: none */
    uint32_t window_s;
} settings;

static uint32_t milliseconds(const struct config *config, const char *parameter)
{
    int64_t seconds = config_seconds(config, parameter);
    return seconds >= TURN_LONGEST_MS / 1000 ? TURN_LONGEST_MS : (uint32_t)seconds * 1000;
}

void login_configure(const struct config *config)
{
    int64_t window = config_seconds(config, "smtpd_sasl_failure_window");
    settings.delay_ms = milliseconds(config, "smtpd_sasl_failure_delay");
    settings.delay_max_ms = milliseconds(config, "smtpd_sasl_failure_delay_max");
    settings.window_s = window > STATE_WINDOW_LONGEST ? STATE_WINDOW_LONGEST : (uint32_t)window;
    login_limit_configure(config);
}

/* A whole IPv6 network of one customer counts as one address. */
static char *source_of(struct smtp_session *session)
{
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    const char *shown = session->client_address;
    if (inet_pton(AF_INET6, session->client_address, &address) == 1) {
        memset(&address.s6_addr[8], 0, 8);
        shown = inet_ntop(AF_INET6, &address, text, sizeof text);
    }
    return arena_printf(session->scratch, "%.*s", TURN_SOURCE_LIMIT, shown);
}

static char *subject_of(struct smtp_session *session, const char *login)
{
    char *subject = arena_printf(session->scratch, "%.*s", TURN_SUBJECT_LIMIT, login);
    text_lowercase(subject);
    return subject;
}

static bool is_exempt(struct smtp_session *session)
{
    return client_list_find(&smtpd.limit_exceptions, session->client_name, session->client_address, session->scratch) ==
           CLIENT_LIST_YES;
}

static const char *refuse(const struct smtp_session *session, const char *method, const char *login, uint8_t refused_by)
{
    log_warning("%s: SASL %.100s authentication refused: too many failed logins %s, sasl_username=%.100s", session->client, method,
                refused_by == TURN_SOURCE ? "from this address" : "of this user", *login != '\0' ? login : "(unavailable)");
    return "454 4.7.0 Temporary authentication failure: too many failed logins, try again later";
}

const char *service_login_attempt(struct smtp_session *session, const char *method, const char *login,
                                  struct login_attempt **attempt)
{
    *attempt = NULL;
    if (settings.delay_ms == 0 || settings.delay_max_ms == 0 || is_exempt(session))
        return NULL;
    struct turn_question question = {
        .store = arena_strdup(session->scratch, STORE), .source = source_of(session), .subject = subject_of(session, login),
        .first_ms = settings.delay_ms, .longest_ms = settings.delay_max_ms, .window_s = settings.window_s};
    struct turn turn = state_turn(&question);
    if (turn.refused_by != TURN_GRANTED)
        return refuse(session, method, login, turn.refused_by);
    question.is_known = turn.is_known;
    *attempt = arena_alloc(session->scratch, sizeof **attempt);
    (*attempt)->question = question;
    if (turn.wait_ms > 0)
        log_info("%s: SASL %.100s authentication delayed by %u.%us after failed logins, sasl_username=%.100s", session->client, method,
                 turn.wait_ms / 1000, turn.wait_ms % 1000 / 100, *login != '\0' ? login : "(unavailable)");
    if (turn.wait_ms > 0 && fiber_sleep_until(deadline_in_ms(turn.wait_ms)) != WAIT_OK)
        session->flags |= SESSION_HANGUP;
    return NULL;
}

void service_login_result(struct login_attempt *attempt, enum login_result result)
{
    if (attempt == NULL)
        return;
    attempt->question.outcome = result == LOGIN_OK ? TURN_SUCCEEDED : result == LOGIN_FAILED ? TURN_FAILED : TURN_GIVEN_UP;
    state_settle(&attempt->question);
}
