/* SPDX-License-Identifier: ISC */
/*
 * SPF at port 25 (smtpd_spf_check): whose mail is checked, what a result means, which headers say so. The check
 * itself is made by the resolver. Off, it costs one comparison a recipient.
 */
#ifndef POSTHORN_ACCESS_SPF_H
#define POSTHORN_ACCESS_SPF_H

#include "common/access/restrict.h"

enum spf_mode { SPF_OFF = 0, SPF_MARK, SPF_REJECT };

/* Reads the smtpd_spf_* parameters; fatal when one is none. Memory from the arena. */
void spf_configure(const struct config *config, struct arena *arena);
enum spf_mode spf_mode(void);
/* When all lists have permitted a recipient: checks the sender, once a transaction, and answers by the result. */
restrict_run restrict_spf;
/* The authserv-id whose Authentication-Results from this client are forged (RFC 8601 5); NULL: none are looked for. */
const char *spf_forged_id(const struct smtp_session *session);

#endif
