/* SPDX-License-Identifier: ISC */
/* MAIL (RFC 5321 4.1.1.2) with SIZE (1870), BODY (6152), SMTPUTF8 (6531), RET and ENVID (3461), AUTH (4954). */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address_parse.h"
#include "common/mail/dsn_parameter.h"
#include "common/smtp/server/session.h"
#include "common/smtp/server/transcript.h"

/* What the parameters said; kept aside until MAIL as a whole is accepted. */
struct mail_parameters {
    uint64_t size;
    uint8_t dsn_return;
    char *envelope_id;
    char *login_sender; /* AUTH=, or NULL */
    bool is_8bit, utf8;
};

static struct slice parameter_value(struct slice text, struct slice name)
{
    return slice_starts_with_nocase(text, name) ? slice_skip(text, name.len) : slice_range(NULL, 0);
}

static const char *parse_size(struct slice value, struct mail_parameters *parameters)
{
    for (size_t i = 0; i < value.len; i++)
        if (!text_is_digit(value.data[i]))
            return "501 5.5.4 Bad message size syntax";
    if (value.len == 0)
        return "501 5.5.4 Bad message size syntax";
    if (!slice_to_u64(value, &parameters->size) || parameters->size > INT64_MAX)
        return "552 5.3.4 Message size exceeds file system imposed limit";
    return NULL;
}

static const char *parse_dsn(struct smtp_session *session, struct slice text, struct mail_parameters *parameters)
{
    struct slice value = parameter_value(text, SLICE("RET="));
    if ((session->ehlo_mask & EHLO_DSN) != 0)
        return "501 5.7.1 DSN support is disabled";
    if (value.data != NULL) {
        if (parameters->dsn_return != DSN_RETURN_UNSET || !dsn_parse_return(value, &parameters->dsn_return))
            return "501 5.5.4 Bad RET parameter syntax";
        return NULL;
    }
    struct str id = STR_EMPTY;
    bool good = parameters->envelope_id == NULL && dsn_parse_envelope_id(parameter_value(text, SLICE("ENVID=")), &id);
    if (good)
        parameters->envelope_id = arena_slice(session->scratch, str_slice(&id));
    str_free(&id);
    return good ? NULL : "501 5.5.4 Bad ENVID parameter syntax";
}

/* Who submitted it first, in the words of whoever passes it on (RFC 4954 5): for the log and the message's record only. */
static const char *parse_login_sender(struct smtp_session *session, struct slice value, struct mail_parameters *parameters)
{
    if (parameters->login_sender != NULL)
        return "503 5.5.4 Error: multiple AUTH= options";
    parameters->login_sender = arena_slice(session->scratch, value);
    for (char *c = parameters->login_sender; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    return NULL;
}

static const char *parse_parameter(struct smtp_session *session, struct slice text, struct mail_parameters *parameters)
{
    struct slice value = parameter_value(text, SLICE("SIZE="));
    if (slice_equal_nocase(text, SLICE("BODY=8BITMIME")))
        parameters->is_8bit = true;
    else if (slice_equal_nocase(text, SLICE("BODY=7BIT")))
        parameters->is_8bit = false;
    else if (session->server->use_utf8 && (session->ehlo_mask & EHLO_SMTPUTF8) == 0 && slice_equal_nocase(text, SLICE("SMTPUTF8")))
        parameters->utf8 = true;
    else if (value.data != NULL)
        return parse_size(value, parameters);
    else if (slice_starts_with_nocase(text, SLICE("RET=")) || slice_starts_with_nocase(text, SLICE("ENVID=")))
        return parse_dsn(session, text, parameters);
    else if (slice_starts_with_nocase(text, SLICE("AUTH=")))
        return parse_login_sender(session, slice_skip(text, 5), parameters);
    else
        return arena_printf(session->scratch, "555 5.5.4 Unsupported option: %.*s", SLICE_ARGS(text));
    return NULL;
}

static const char *check_order(struct smtp_session *session, const struct smtp_command *command)
{
    if (session->server->helo_required && session->helo_name == NULL) {
        smtp_session_blame(session, FAULT_POLICY);
        return "503 5.5.1 Error: send HELO/EHLO first";
    }
    if ((session->flags & SESSION_IN_TRANSACTION) != 0)
        return "503 5.5.1 Error: nested MAIL command";
    if (session->bdat != BDAT_NONE)
        return "503 5.5.1 Error: MAIL after BDAT";
    if (command->count < 3 || !smtp_token_is(&command->tokens[1], "from:"))
        return "501 5.5.4 Syntax: MAIL FROM:<address>";
    const char *too_often = smtp_session_count(session, SMTP_EVENT_MESSAGE);
    if (too_often != NULL)
        return too_often;
    if (command->tokens[2].is_broken)
        return "501 5.1.7 Bad sender address syntax";
    return NULL;
}

static const char *check_size(struct smtp_session *session, const char *sender, uint64_t size)
{
    uint64_t limit = session->server->message_size_limit;
    if (limit == 0 || size <= limit)
        return NULL;
    log_info("NOQUEUE: reject: MAIL from %s: 552 5.3.4 Message size exceeds fixed limit;%s", session->client,
             smtp_session_log_tail(session, sender, NULL));
    smtp_session_blame(session, FAULT_POLICY);
    return "552 5.3.4 Message size exceeds fixed limit";
}

static void begin_transaction(struct smtp_session *session, const struct str *sender,
                              const struct mail_parameters *parameters)
{
    session->sender = arena_slice(session->arena, str_slice(sender));
    session->arrival_us = wall_us();
    session->dsn_return = parameters->dsn_return;
    if (parameters->envelope_id != NULL)
        session->dsn_envelope_id = arena_strdup(session->arena, parameters->envelope_id);
    if (parameters->login_sender != NULL && strcmp(parameters->login_sender, "<>") != 0)
        session->sasl_sender = mem_strdup(parameters->login_sender);
    session->flags |= SESSION_IN_TRANSACTION | (parameters->is_8bit ? SESSION_8BITMIME : 0u) |
                      (parameters->utf8 ? SESSION_UTF8_WANTED : 0u);
}

/* The parameter that says how the address is to be read comes behind it. */
static bool asks_for_utf8(const struct smtp_session *session, const struct smtp_command *command)
{
    bool asks = false;
    for (size_t i = 3; i < command->count; i++)
        asks = asks || smtp_token_is(&command->tokens[i], "SMTPUTF8");
    return asks && session->server->use_utf8 && (session->ehlo_mask & EHLO_SMTPUTF8) == 0;
}

static const char *accept_mail(struct smtp_session *session, const struct smtp_command *command, struct str *sender)
{
    struct mail_parameters parameters = {0};
    unsigned flags = ADDRESS_ALLOW_EMPTY | (session->server->strict_addresses ? ADDRESS_STRICT : 0u) |
                     (session->server->allow_minus ? ADDRESS_ALLOW_MINUS : 0u) | (asks_for_utf8(session, command) ? ADDRESS_UTF8 : 0u);
    const char *refusal = check_order(session, command);
    if (refusal != NULL)
        return refusal;
    struct slice path = smtp_token_slice(&command->tokens[2]);
    if (address_parse_path(path, flags, sender) != ADDRESS_PARSED) {
        log_warning("Illegal address syntax from %s in MAIL command: %.*s", session->client, SLICE_ARGS(path));
        return "501 5.1.7 Bad sender address syntax";
    }
    for (size_t i = 3; i < command->count && refusal == NULL; i++)
        refusal = parse_parameter(session, smtp_token_slice(&command->tokens[i]), &parameters);
    session->announced_size = parameters.size; /* restrictions look at it */
    session->arena = arena_new();               /* and access tables may want something of the message to come */
    if (refusal == NULL && !session->server->delay_reject)
        refusal = session->server->policy->on_mail(session, str_text(sender));
    if (refusal == NULL)
        refusal = check_size(session, str_text(sender), parameters.size);
    if (refusal != NULL) {
        smtp_session_reset(session);
        return refusal;
    }
    begin_transaction(session, sender, &parameters);
    if (session->server->is_filtered)
        session->mail_command = arena_slice(session->arena, command->line);
    if (!session->server->open_late && (refusal = smtp_session_name_message(session)) != NULL)
        smtp_session_reset(session);
    return refusal;
}

bool smtp_cmd_mail(struct smtp_session *session, const struct smtp_command *command)
{
    struct str sender = STR_EMPTY;
    const char *refusal = accept_mail(session, command, &sender);
    str_free(&sender);
    smtp_reply_text(session, refusal != NULL ? refusal : "250 2.1.0 Ok");
    return refusal == NULL;
}
