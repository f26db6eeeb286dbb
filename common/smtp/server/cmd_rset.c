/* SPDX-License-Identifier: ISC */
/* RSET (RFC 5321 4.1.1.5): forgets the transaction. */
#include "common/smtp/server/session.h"

bool smtp_cmd_rset(struct smtp_session *session, const struct smtp_command *command)
{
    if (command->count != 1)
        return smtp_refuse(session, "501 5.5.4 Syntax: RSET");
    smtp_session_reset(session);
    session->bdat = BDAT_NONE;
    smtp_reply(session, "250 2.0.0 Ok");
    return true;
}
