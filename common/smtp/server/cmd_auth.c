/* SPDX-License-Identifier: ISC */
/*
 * AUTH (RFC 4954): the exchange between the client and the authentication service, in Postfix's words. Runs on the
 * session's fiber; the service is behind the policy (policy.h) and may take its time. Responses hold passwords: they are
 * wiped as soon as they were passed on, here and in the input buffer, and no log line shows any of them.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/smtp/server/session.h"
#include "common/smtp/server/transcript.h"

/* No mechanism takes as many: an authentication service that asks for ever is broken. */
#define STEP_LIMIT 64

struct exchange {
    struct smtp_session *session;
    const char *mechanism;     /* as the client wrote it, printable */
    struct sasl_answer answer; /* of the last step */
    struct str login;          /* the name that the client said, when that can be told */
    unsigned responses;
    struct login_attempt *attempt; /* what the policy knows of it */
    bool is_tried;             /* the policy was asked */
};

bool smtp_session_may_auth(const struct smtp_session *session)
{
    const struct smtp_server *server = session->server;
    return server->auth_enabled && (session->ehlo_mask & EHLO_AUTH) == 0 &&
           (session->tls != NULL || (!server->auth_needs_tls && !server->tls_enforced));
}

static const char *check_order(const struct smtp_session *session, const struct smtp_command *command)
{
    if (session->server->helo_required && session->helo_name == NULL)
        return "503 5.5.1 Error: send HELO/EHLO first";
    if (!smtp_session_may_auth(session))
        return "503 5.5.1 Error: authentication not enabled";
    if ((session->flags & SESSION_IN_TRANSACTION) != 0)
        return "503 5.5.1 Error: MAIL transaction in progress";
    if (session->sasl_username != NULL)
        return "503 5.5.1 Error: already authenticated";
    if (command->count < 2 || command->count > 3)
        return "501 5.5.4 Syntax: AUTH mechanism";
    return NULL;
}

/* --- a response ---------------------------------------------------------------------------------------- */

enum response_status { RESPONSE_OK, RESPONSE_TOO_LONG, RESPONSE_LOST };

/* Takes bytes out of the input buffer and leaves nothing of them there. */
static void consume_secret(struct smtp_session *session, size_t count)
{
    stream_consume(&session->stream, count);
    stream_wipe_consumed(&session->stream);
}

static enum response_status skip_rest(struct smtp_session *session)
{
    for (;;) {
        struct slice have = stream_buffered(&session->stream);
        const char *end = have.len > 0 ? memchr(have.data, '\n', have.len) : NULL;
        consume_secret(session, end != NULL ? (size_t)(end - have.data) + 1 : have.len);
        if (end != NULL)
            return RESPONSE_TOO_LONG;
        if (!smtp_session_fill(session, 0))
            return RESPONSE_LOST;
    }
}

/* One line of up to smtpd_sasl_response_limit bytes, without its end; the caller wipes it. */
static enum response_status read_response(struct smtp_session *session, struct str *response)
{
    size_t limit = session->server->auth_response_limit;
    for (;;) {
        if (stream_buffered(&session->stream).len == 0 && !smtp_session_fill(session, 0))
            return RESPONSE_LOST;
        struct slice have = stream_buffered(&session->stream);
        const char *end = memchr(have.data, '\n', have.len);
        size_t len = end != NULL ? (size_t)(end - have.data) : have.len;
        if (response->len + len > limit + 1) { /* a CR may come on top */
            log_warning("%s: request longer than %zu: a SASL response", session->client, limit);
            return skip_rest(session);
        }
        str_reserve(response, limit + 2 - response->len); /* at once: growing would leave copies */
        str_append_bytes(response, have.data, len);
        consume_secret(session, end != NULL ? len + 1 : len);
        if (end == NULL)
            continue;
        while (response->len > 0 && response->data[response->len - 1] == '\r')
            str_truncate(response, response->len - 1);
        if (response->len <= limit)
            return RESPONSE_OK;
        log_warning("%s: request longer than %zu: a SASL response", session->client, limit);
        return RESPONSE_TOO_LONG;
    }
}

static void wipe(struct str *secret)
{
    if (secret->data != NULL)
        mem_wipe(secret->data, secret->cap);
    str_free(secret);
}

/* Learns from a response who wants to log in. */
static void note_login(struct exchange *exchange, struct slice response)
{
    struct str decoded = STR_EMPTY;
    if (exchange->login.len == 0 && base64_decode(response, &decoded))
        sasl_login_name(slice_of(exchange->mechanism), exchange->responses, str_slice(&decoded), &exchange->login);
    exchange->responses++;
    wipe(&decoded);
}

/* --- the exchange ------------------------------------------------------------------------------------------ */

static char *printable_copy(const char *text)
{
    char *copy = mem_strdup(text);
    bool is_utf8 = text_is_utf8(slice_of(text));
    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127 || (!is_utf8 && (unsigned char)*c > 127))
            *c = '?';
    return copy;
}

/* Nothing is judged before the policy has let it through. NULL, or the reply that refuses it. */
static const char *ask_policy(struct exchange *exchange)
{
    if (exchange->is_tried)
        return NULL;
    char *login = printable_copy(str_text(&exchange->login));
    exchange->is_tried = true;
    const char *refusal = exchange->session->server->policy->auth_attempt(exchange->session, exchange->mechanism, login,
                                                                          &exchange->attempt);
    free(login);
    return refusal;
}

static void give_up(struct exchange *exchange)
{
    const struct smtp_server_policy *policy = exchange->session->server->policy;
    policy->auth_cancel(exchange->session, exchange->answer.exchange);
    policy->auth_end(exchange->session, SASL_UNAVAILABLE, exchange->attempt);
}

/* A response that is complete. False: it was refused. */
static bool pass_on(struct exchange *exchange, struct slice response)
{
    struct smtp_session *session = exchange->session;
    note_login(exchange, response);
    const char *refusal = ask_policy(exchange);
    if (refusal != NULL) {
        give_up(exchange);
        return smtp_refuse(session, "%s", refusal);
    }
    session->server->policy->auth_continue(session, exchange->answer.exchange, response, &exchange->answer);
    return true;
}

/* One challenge and its response. False: the exchange is over, and the client has been told. */
static bool ask_client(struct exchange *exchange)
{
    struct smtp_session *session = exchange->session;
    struct str response = STR_EMPTY;
    smtp_reply(session, "334 %s", exchange->answer.text);
    enum response_status status = read_response(session, &response);
    if (status == RESPONSE_OK && !slice_equal(str_slice(&response), SLICE("*"))) {
        bool goes_on = pass_on(exchange, str_slice(&response));
        wipe(&response);
        return goes_on;
    }
    wipe(&response);
    give_up(exchange);
    smtp_session_blame(session, FAULT_NONE);
    if (status == RESPONSE_TOO_LONG)
        smtp_reply(session, "500 5.5.6 SASL response limit exceeded");
    else if (status == RESPONSE_OK) {
        log_warning("%s: SASL %.100s authentication aborted", session->client, exchange->mechanism);
        smtp_reply(session, "501 5.7.0 Authentication aborted");
    }
    return false;
}

static bool succeed(struct exchange *exchange)
{
    struct smtp_session *session = exchange->session;
    session->server->policy->auth_end(session, SASL_DONE, exchange->attempt);
    session->sasl_username = printable_copy(exchange->answer.login);
    session->sasl_method = mem_strdup(exchange->mechanism);
    smtp_reply(session, "235 2.7.0 Authentication successful");
    return true;
}

static bool fail(struct exchange *exchange)
{
    struct smtp_session *session = exchange->session;
    const struct sasl_answer *answer = &exchange->answer;
    const char *reason = *answer->text != '\0' ? answer->text : "(reason unavailable)";
    char *login = printable_copy(exchange->login.len > 0 ? str_text(&exchange->login) : answer->login);
    log_warning("%s: SASL %.100s authentication failed: %s, sasl_username=%.100s", session->client, exchange->mechanism,
                reason, *login != '\0' ? login : "(unavailable)");
    free(login);
    session->server->policy->auth_end(session, (enum sasl_status)answer->status, exchange->attempt);
    smtp_session_blame(session, FAULT_NONE); /* Postfix: whose password is wrong is no news for the postmaster */
    if (answer->status == SASL_UNAVAILABLE)
        return smtp_refuse(session, "454 4.7.0 Temporary authentication failure: %s", reason);
    return smtp_refuse(session, "535 5.7.8 Error: authentication failed: %s", reason);
}

static void wipe_command(struct smtp_session *session, const struct smtp_command *command)
{
    stream_wipe_consumed(&session->stream);
    for (size_t i = 2; i < command->count; i++)
        mem_wipe(command->tokens[i].text, command->tokens[i].len);
    mem_wipe((char *)command->line.data, command->line.len);
}

static bool authenticate(struct exchange *exchange, const struct smtp_command *command)
{
    struct smtp_session *session = exchange->session;
    const struct smtp_token *initial = command->count == 3 ? &command->tokens[2] : NULL;
    struct slice response = initial != NULL ? smtp_token_slice(initial) : slice_range(NULL, 0);
    const char *refusal = NULL;
    if (initial != NULL && !slice_equal(response, SLICE("="))) { /* RFC 4954: an empty one, which says nothing */
        note_login(exchange, response);
        refusal = ask_policy(exchange);
    }
    if (refusal == NULL)
        session->server->policy->auth_start(session, exchange->mechanism, initial != NULL ? &response : NULL,
                                            &exchange->answer);
    wipe_command(session, command);
    if (refusal != NULL)
        smtp_session_blame(session, FAULT_POLICY);
    if (refusal != NULL)
        return smtp_refuse(session, "%s", refusal);
    for (unsigned step = 0; exchange->answer.status == SASL_MORE; step++) {
        if (step == STEP_LIMIT) {
            session->server->policy->auth_cancel(session, exchange->answer.exchange);
            exchange->answer = (struct sasl_answer){SASL_UNAVAILABLE, 0, (char[]){"too many steps"}, (char[]){""}};
            break;
        }
        if (!ask_client(exchange))
            return false;
    }
    return exchange->answer.status == SASL_DONE ? succeed(exchange) : fail(exchange);
}

bool smtp_cmd_auth(struct smtp_session *session, const struct smtp_command *command)
{
    struct exchange exchange = {.session = session};
    const char *refusal = check_order(session, command);
    if (refusal == NULL)
        refusal = smtp_session_count(session, SMTP_EVENT_AUTH);
    if (refusal != NULL) {
        wipe_command(session, command);
        return smtp_refuse(session, "%s", refusal);
    }
    char *mechanism = printable_copy(command->tokens[1].text);
    exchange.mechanism = mechanism;
    bool is_logged_in = authenticate(&exchange, command);
    free(mechanism);
    str_free(&exchange.login);
    return is_logged_in;
}
