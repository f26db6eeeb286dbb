/* SPDX-License-Identifier: ISC */
/* NOOP (RFC 5321 4.1.1.9): any argument is ignored. */
#include "common/smtp/server/session.h"

bool smtp_cmd_noop(struct smtp_session *session, const struct smtp_command *command UNUSED)
{
    smtp_reply(session, "250 2.0.0 Ok");
    return true;
}
