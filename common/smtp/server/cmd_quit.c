/* SPDX-License-Identifier: ISC */
/* QUIT (RFC 5321 4.1.1.10). */
#include "common/smtp/server/session.h"

bool smtp_cmd_quit(struct smtp_session *session, const struct smtp_command *command UNUSED)
{
    session->flags |= SESSION_HANGUP;
    smtp_reply(session, "221 2.0.0 Bye");
    return true;
}
