/* SPDX-License-Identifier: ISC */
/*
 * XCLIENT and XFORWARD: a trusted proxy in front of us says who the client is (and the session begins anew, with a
 * greeting), or a trusted filter behind us says whose message it brings back (for the log and the envelope).
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/smtp/server/forward_attribute.h"

static const char *check(const struct smtp_session *session, const struct smtp_command *command, const char *verb, unsigned right)
{
    if ((session->flags & SESSION_IN_TRANSACTION) != 0)
        return "503 5.5.1 Error: MAIL transaction in progress";
    if (command->count < 2)
        return arena_printf(session->scratch, "501 5.5.4 Syntax: %s attribute=value...", verb);
    return (session->flags & right) == 0 ? "550 5.7.0 Error: insufficient authorization" : NULL;
}

static void replace(char **slot, const char *text)
{
    char *copy = text != NULL ? mem_strdup(text) : NULL;
    free(*slot);
    *slot = copy;
}

/* --- XCLIENT ---------------------------------------------------------------------------------- */

/* A login that is not repeated is over. */
static void set_login(struct smtp_session *session, const char *login)
{
    replace(&session->sasl_method, login != NULL ? "XCLIENT" : NULL);
    replace(&session->sasl_username, login);
    replace(&session->sasl_sender, NULL);
}

static void become(struct smtp_session *session, const struct forward_attributes *said)
{
    const struct smtp_client_name names = {
        .name = (said->set & FORWARD_NAME) != 0 ? said->name : NULL,
        .reverse_name = (said->set & FORWARD_REVERSE_NAME) != 0 ? said->reverse_name :
                        (said->set & FORWARD_NAME) != 0 && said->name_status == SMTP_NAME_OK ? said->name : NULL,
        .name_status = said->name_status,
        .reverse_status = (said->set & FORWARD_REVERSE_NAME) != 0 ? said->reverse_status : SMTP_NAME_OK,
    };
    if ((said->set & (FORWARD_SERVER_ADDRESS | FORWARD_SERVER_PORT)) != 0)
        smtp_session_set_server(session,
            (said->set & FORWARD_SERVER_ADDRESS) != 0 ? said->server_address : smtp_session_server_address(session),
            (said->set & FORWARD_SERVER_PORT) != 0 ? said->server_port : smtp_session_server_port(session));
    smtp_session_set_client(session, names.name != NULL ? names.name : session->client_name,
                            (said->set & FORWARD_ADDRESS) != 0 ? said->address : session->client_address,
                            (said->set & FORWARD_PORT) != 0 ? said->port : session->client_port);
    replace(&session->helo_name, said->helo);
    session->flags &= ~(unsigned)SESSION_ESMTP;
    if (said->protocol != NULL && strcmp(said->protocol, "ESMTP") == 0)
        session->flags |= SESSION_ESMTP;
    set_login(session, said->login);
    session->server->policy->on_xclient(session, &names);
}

bool smtp_cmd_xclient(struct smtp_session *session, const struct smtp_command *command)
{
    struct forward_attributes said;
    const char *refusal = check(session, command, "XCLIENT", SESSION_MAY_XCLIENT);
    if (refusal == NULL)
        refusal = xclient_parse(command, session->scratch, &said);
    if (refusal != NULL)
        return smtp_refuse(session, "%s", refusal);
    smtp_session_reset(session);
    session->bdat = BDAT_NONE;
    become(session, &said);
    session->flags |= SESSION_BEGINS_ANEW;
    return false;
}

/* --- XFORWARD ------------------------------------------------------------------------------------ */

bool smtp_cmd_xforward(struct smtp_session *session, const struct smtp_command *command)
{
    struct forward_attributes said;
    const char *refusal = check(session, command, "XFORWARD", SESSION_MAY_XFORWARD);
    if (refusal == NULL)
        refusal = xforward_parse(command, session->scratch, &said);
    if (refusal != NULL)
        return smtp_refuse(session, "%s", refusal);
    struct smtp_forward *forward = smtp_forward_begin(session);
    const struct { unsigned bit; char **slot; const char *value; } texts[] = {
        {FORWARD_NAME, &forward->name, said.name},       {FORWARD_ADDRESS, &forward->address, said.address},
        {FORWARD_PORT, &forward->port, said.port},       {FORWARD_HELO, &forward->helo, said.helo},
        {FORWARD_IDENT, &forward->ident, said.ident},    {FORWARD_PROTOCOL, &forward->protocol, said.protocol},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if ((said.set & texts[i].bit) != 0)
            replace(texts[i].slot, texts[i].value);
    if ((said.set & FORWARD_DOMAIN) != 0) {
        forward->has_domain = true;
        forward->is_local = said.is_local;
    }
    if ((said.set & (FORWARD_NAME | FORWARD_ADDRESS | FORWARD_PORT)) != 0)
        smtp_forward_describe(session);
    else if ((said.set & (FORWARD_HELO | FORWARD_PROTOCOL)) != 0)
        forward->has_client = true;
    smtp_reply(session, "250 2.0.0 Ok");
    return true;
}
