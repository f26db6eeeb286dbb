/* SPDX-License-Identifier: ISC */
/* HELO and EHLO (RFC 5321 4.1.1.1): who the client says it is, and what this server offers. */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/smtp/server/session.h"

/* The name goes into Received and logs: what could end a comment or a quote there becomes '?'. */
static void neuter(char *name)
{
    for (; *name != '\0'; name++)
        if ((unsigned char)*name < ' ' || *name == 127 || strchr(" <>()\\\";@", *name) != NULL)
            *name = '?';
}

static char *join_arguments(struct smtp_session *session, const struct smtp_command *command)
{
    char *name = mem_strdup(smtp_command_join(session, command, 1, command->count));
    for (char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    return name;
}

static bool accept_name(struct smtp_session *session, const struct smtp_command *command, unsigned protocol)
{
    char *previous = session->helo_name;
    session->helo_name = join_arguments(session, command);
    if (!session->server->delay_reject) {
        const char *refusal = session->server->policy->on_helo(session, session->helo_name);
        if (refusal != NULL) {
            smtp_reply(session, "%s", refusal);
            free(session->helo_name);
            session->helo_name = previous;
            return false;
        }
    }
    free(previous);
    neuter(session->helo_name);
    smtp_session_reset(session); /* RFC 5321 4.1.4: EHLO clears all state */
    session->bdat = BDAT_NONE;
    session->flags |= protocol; /* HELO after EHLO: still one that may pipeline, as in Postfix */
    return true;
}

bool smtp_cmd_helo(struct smtp_session *session, const struct smtp_command *command)
{
    if (command->count < 2)
        return smtp_refuse(session, "501 Syntax: HELO hostname");
    if (!accept_name(session, command, 0))
        return false;
    smtp_reply(session, "250 %s", session->server->my_hostname);
    return true;
}

static void log_discarded(unsigned mask)
{
    static const struct { unsigned bit; const char *name; } names[] = {
        {EHLO_8BITMIME, "8BITMIME"}, {EHLO_AUTH, "AUTH"}, {EHLO_ETRN, "ETRN"}, {EHLO_PIPELINING, "PIPELINING"},
        {EHLO_SIZE, "SIZE"}, {EHLO_VRFY, "VRFY"}, {EHLO_XCLIENT, "XCLIENT"}, {EHLO_XFORWARD, "XFORWARD"},
        {EHLO_STARTTLS, "STARTTLS"}, {EHLO_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES"}, {EHLO_DSN, "DSN"},
        {EHLO_SMTPUTF8, "SMTPUTF8"}, {EHLO_CHUNKING, "CHUNKING"}};
    struct str text = STR_EMPTY;
    if (mask == 0 || (mask & (EHLO_SILENT_DISCARD | EHLO_ENHANCEDSTATUSCODES)) != 0)
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((mask & names[i].bit) != 0)
            str_printf(&text, " %s", names[i].name);
    log_info("discarding EHLO keywords:%s", str_text(&text));
    str_free(&text);
}

/* Returns where the last line begins. */
static size_t list_keywords(struct smtp_session *session, struct str *lines)
{
    static const struct { unsigned bit; const char *text; } keywords[] = {
        {EHLO_PIPELINING, "PIPELINING"}, {EHLO_SIZE, "SIZE"}, {EHLO_VRFY, "VRFY"}, {EHLO_ETRN, "ETRN"},
        {EHLO_STARTTLS, "STARTTLS"}, {EHLO_AUTH, "AUTH"},
        {EHLO_XCLIENT, "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"},
        {EHLO_XFORWARD, "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"},
        {EHLO_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES"}, {EHLO_8BITMIME, "8BITMIME"}, {EHLO_DSN, "DSN"},
        {EHLO_SMTPUTF8, "SMTPUTF8"}, {EHLO_CHUNKING, "CHUNKING"}};
    const struct smtp_server *server = session->server;
    unsigned hidden = session->ehlo_mask;
    size_t last = 0;
    if (!server->tls_offered || session->tls != NULL)
        hidden |= EHLO_STARTTLS;
    if (server->disable_vrfy)
        hidden |= EHLO_VRFY;
    if (!server->use_utf8)
        hidden |= EHLO_SMTPUTF8;
    const char *mechanisms = NULL;
    if (smtp_session_may_auth(session) && (session->flags & SESSION_HIDE_AUTH) == 0)
        mechanisms = server->policy->auth_mechanisms(session);
    if (mechanisms == NULL)
        hidden |= EHLO_AUTH;
    if ((session->flags & SESSION_MAY_XCLIENT) == 0)
        hidden |= EHLO_XCLIENT;
    if ((session->flags & SESSION_MAY_XFORWARD) == 0)
        hidden |= EHLO_XFORWARD;
    str_printf(lines, "250-%s\r\n", server->my_hostname);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if ((hidden & keywords[i].bit) != 0)
            continue;
        last = lines->len;
        str_printf(lines, "250-%s", keywords[i].text);
        if (keywords[i].bit == EHLO_SIZE && server->message_size_limit > 0)
            str_printf(lines, " %llu", (unsigned long long)server->message_size_limit);
        if (keywords[i].bit == EHLO_AUTH)
            str_printf(lines, server->auth_old_keyword ? " %s\r\n250-AUTH=%s" : " %s", mechanisms, mechanisms);
        str_append(lines, "\r\n");
    }
    return last;
}

bool smtp_cmd_ehlo(struct smtp_session *session, const struct smtp_command *command)
{
    struct str lines = STR_EMPTY;
    if (command->count < 2)
        return smtp_refuse(session, "501 Syntax: EHLO hostname");
    if (!accept_name(session, command, SESSION_ESMTP))
        return false;
    log_discarded(session->ehlo_mask);
    size_t last = list_keywords(session, &lines);
    lines.data[last + 3] = ' ';
    smtp_reply_lines(session, str_slice(&lines));
    str_free(&lines);
    return true;
}
