/* SPDX-License-Identifier: ISC */
/*
 * login: what happens before and after somebody tries to log in. Called by the AUTH verb on the session's fiber. Who fails
 * again and again waits longer and longer for the answer: per address and per login, whatever the port, counted in
 * `state`. Only failures wait; whoever knows the password is never kept waiting by those who guess at it.
 */
#include <arpa/inet.h>

#include "common/base/log.h"
#include "common/service/login_limit.h"
#include "common/service/login_rate.h"
#include "common/service/service.h"
#include "common/state/state_client.h"

#define STORE "login"
#define KEY_LOGIN_LIMIT 300

static struct {
    int64_t delay_ms, delay_max_ms; /* 0: none */
    uint32_t window_s;
} settings;

void login_configure(const struct config *config)
{
    settings.delay_ms = config_seconds(config, "smtpd_sasl_failure_delay") * 1000;
    settings.delay_max_ms = config_seconds(config, "smtpd_sasl_failure_delay_max") * 1000;
    settings.window_s = (uint32_t)config_seconds(config, "smtpd_sasl_failure_window");
    login_limit_configure(config);
}

const char *service_login_begin(struct smtp_session *session UNUSED, const char *method UNUSED)
{
    return NULL;
}

/* A whole IPv6 network of one customer counts as one address. */
static char *address_key(struct smtp_session *session)
{
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    const char *shown = session->client_address;
    if (inet_pton(AF_INET6, session->client_address, &address) == 1) {
        memset(&address.s6_addr[8], 0, 8);
        shown = inet_ntop(AF_INET6, &address, text, sizeof text);
    }
    return arena_printf(session->scratch, "fa:%s", shown);
}

static char *login_key(struct smtp_session *session, const char *login)
{
    char *key = arena_printf(session->scratch, "fl:%.*s", KEY_LOGIN_LIMIT, login);
    text_lowercase(key);
    return key;
}

static uint32_t count_failure(const char *key)
{
    struct state_window window = {.seconds = settings.window_s};
    return state_charge(STORE, key, 1, &window, 1) == 0 ? window.count : 0;
}

static bool is_exempt(struct smtp_session *session)
{
    return client_list_find(&smtpd.limit_exceptions, session->client_name, session->client_address, session->scratch) ==
           CLIENT_LIST_YES;
}

static void wait_after_failure(struct smtp_session *session, const char *login)
{
    if (settings.delay_ms <= 0 || is_exempt(session))
        return;
    uint32_t failures = count_failure(address_key(session));
    if (*login != '\0') {
        uint32_t of_login = count_failure(login_key(session, login));
        failures = of_login > failures ? of_login : failures;
    }
    int64_t delay = login_failure_delay(failures, settings.delay_ms, settings.delay_max_ms);
    if (delay > 0 && fiber_sleep_until(deadline_in_ms(delay)) != WAIT_OK)
        session->flags |= SESSION_HANGUP;
}

const char *service_login_result(struct smtp_session *session, enum login_result result, const char *login)
{
    if (result == LOGIN_FAILED)
        wait_after_failure(session, login);
    else if (result == LOGIN_OK && settings.delay_ms > 0 && *login != '\0' && !is_exempt(session))
        state_delete(STORE, login_key(session, login));
    return NULL;
}
