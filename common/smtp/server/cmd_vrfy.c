/* SPDX-License-Identifier: ISC */
/* VRFY (RFC 5321 4.1.1.6): says what RCPT would say, and no more; disable_vrfy_command turns it off. */
#include "common/base/log.h"
#include "common/mail/address_parse.h"
#include "common/smtp/server/session.h"

bool smtp_cmd_vrfy(struct smtp_session *session, const struct smtp_command *command)
{
    const struct smtp_server *server = session->server;
    struct str address = STR_EMPTY;
    if (server->disable_vrfy)
        return smtp_refuse(session, "502 5.5.1 VRFY command is disabled");
    size_t end = command->count;
    bool is_utf8 = end > 1 && server->use_utf8 && (session->ehlo_mask & EHLO_SMTPUTF8) == 0 &&
                   smtp_token_is(&command->tokens[end - 1], "SMTPUTF8");
    if (is_utf8)
        end--;
    if (end < 2)
        return smtp_refuse(session, "501 5.5.4 Syntax: VRFY address%s", server->use_utf8 ? " [SMTPUTF8]" : "");
    const char *too_often = smtp_session_count(session, SMTP_EVENT_RECIPIENT);
    if (too_often != NULL)
        return smtp_refuse(session, "%s", too_often);
    struct slice text = slice_of(smtp_command_join(session, command, 1, end));
    if (address_parse_path(text, is_utf8 ? ADDRESS_UTF8 : 0, &address) != ADDRESS_PARSED) {
        log_warning("Illegal address syntax from %s in VRFY command: %.*s", session->client, SLICE_ARGS(text));
        str_free(&address);
        return smtp_refuse(session, "501 5.1.3 Bad recipient address syntax");
    }
    const char *refusal = server->policy->on_vrfy(session, str_text(&address));
    str_free(&address);
    if (refusal != NULL)
        return smtp_refuse(session, "%s", refusal);
    smtp_reply(session, "252 2.0.0 %.*s", SLICE_ARGS(text));
    return true;
}
