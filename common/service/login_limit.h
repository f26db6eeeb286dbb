/* SPDX-License-Identifier: ISC */
/* Limits of what each login may send: smtpd_sasl_message_limit, smtpd_sasl_recipient_limit, smtpd_sasl_limit_action. */
#ifndef POSTHORN_SERVICE_LOGIN_LIMIT_H
#define POSTHORN_SERVICE_LOGIN_LIMIT_H

#include "common/access/restrict.h"

/* Reads main.cf; fatal when a limit cannot be read. The configuration must outlive it. */
void login_limit_configure(const struct config *config);

/*
 * A recipient is about to be accepted: counts it, and with the first one the message. False: evaluation->reply refuses
 * the recipient. With smtpd_sasl_limit_action = hold the message is marked instead. Waits for state and lookup.
 */
bool login_limit_take(struct evaluation *evaluation) MUST_CHECK;

#endif
