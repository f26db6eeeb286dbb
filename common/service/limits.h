/* SPDX-License-Identifier: ISC */
/* How often a client may do what (TUNING_README, anvil(8)): the limits of smtpd_client_*_limit over rate.h. */
#ifndef POSTHORN_SERVICE_LIMITS_H
#define POSTHORN_SERVICE_LIMITS_H

#include "common/access/access.h"

/* Reads the limits and begins to log anvil's statistics. Called by start(). */
void limits_start(const struct config *config);
/* The statistics of the last minutes, before the process ends. */
void limits_finish(void);

/* A client came: NULL, or the 421 to refuse it with. Clients of smtpd_client_event_limit_exceptions and of
 * smtpd_authorized_xclient_hosts are not counted. */
const char *limits_connect(struct smtp_session *session);
void limits_disconnect(struct smtpd_client *client);
/* struct smtp_server_policy: on_event. */
const char *limits_event(struct smtp_session *session, enum smtp_event event);

#endif
