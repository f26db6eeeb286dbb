/* SPDX-License-Identifier: ISC */
/*
 * Commands that this server answers without doing anything: ETRN (RFC 1985) for domains it holds no mail for,
 * verbs of features that are not configured, and what is no command at all.
 */
#include "common/base/log.h"
#include "common/mail/hostname.h"
#include "common/smtp/server/session.h"

bool smtp_cmd_etrn(struct smtp_session *session, const struct smtp_command *command)
{
    if (session->server->helo_required && session->helo_name == NULL)
        return smtp_refuse(session, "503 Error: send HELO/EHLO first");
    if ((session->flags & SESSION_IN_TRANSACTION) != 0)
        return smtp_refuse(session, "503 Error: MAIL transaction in progress");
    if (command->count != 2)
        return smtp_refuse(session, "500 Syntax: ETRN domain");
    struct slice domain = smtp_token_slice(&command->tokens[1]);
    if (domain.len > 0 && (domain.data[0] == '@' || domain.data[0] == '#'))
        domain = slice_skip(domain, 1);
    if (!text_is_ascii(domain) || (!hostname_is_valid(domain) && !hostname_is_literal(domain)))
        return smtp_refuse(session, "501 Error: invalid parameter syntax");
    const char *text = arena_slice(session->scratch, domain);
    const char *refusal = session->server->policy->on_etrn(session, text);
    if (refusal != NULL)
        return smtp_refuse(session, "%s", refusal);
    /* No fast-flush log is kept, so no domain is eligible (fast_flush_domains is not supported). */
    log_warning("reject: ETRN %.100s... from %s", text, session->client);
    return smtp_refuse(session, "459 <%s>: service unavailable", text);
}

/* "Subject:", "X-Mailer: x", also with blanks before the colon. */
static bool is_header_line(const char *text)
{
    size_t len = 0, name;
    while ((unsigned char)text[len] > ' ' && (unsigned char)text[len] < 127 && text[len] != ':')
        len++;
    name = len;
    while (text[len] == ' ' || text[len] == '\t')
        len++;
    return name > 0 && text[len] == ':';
}

/* HTTP through a proxy, a mail header, TLS bytes: whoever talks so is no mail client, and what follows is
 * chosen by somebody else. */
static bool is_foreign(struct smtp_session *session, const struct smtp_command *command)
{
    const struct smtp_server *server = session->server;
    const struct smtp_token *first = &command->tokens[0];
    char c = text_lower_char(first->text[0]);
    if (is_header_line(first->text) || (server->forbids_non_letters && (c < 'a' || c > 'z')))
        return true;
    for (size_t i = 0; i < server->forbidden_command_count; i++)
        if (!(server->forbids_non_letters && strchr(server->forbidden_commands[i], '/') != NULL) &&
            smtp_command_is_in(session, first, &server->forbidden_commands[i], 1, "smtpd_forbidden_commands"))
            return true;
    return false;
}

bool smtp_session_ends_for_foreigner(struct smtp_session *session, const struct smtp_command *command)
{
    struct str text = STR_EMPTY;
    if (!is_foreign(session, command))
        return false;
    text_escape(command->line, &text);
    log_warning("non-SMTP command from %s: %.100s", session->client, str_text(&text));
    str_free(&text);
    session->flags |= SESSION_HANGUP;
    smtp_reply(session, "221 2.7.0 Error: I can break rules, too. Goodbye.");
    return true;
}
