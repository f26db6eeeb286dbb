/* SPDX-License-Identifier: ISC */
/* smtpd_proxy_filter: mail goes through another SMTP server before it is accepted. Callbacks of struct smtp_server_policy. */
#ifndef POSTHORN_SERVICE_PROXY_FILTER_H
#define POSTHORN_SERVICE_PROXY_FILTER_H

#include "common/config/config.h"
#include "common/smtp/server/session.h"

/* Reads main.cf and switches smtp_server.is_filtered on; fatal for a filter whose name cannot be read. */
void proxy_filter_configure(const struct config *config, struct smtp_server *server);

const char *proxy_filter_open(struct smtp_session *session);
const char *proxy_filter_command(struct smtp_session *session, struct slice command, char expected);
bool proxy_filter_pass(struct smtp_session *session, struct slice text);
bool proxy_filter_finish(struct smtp_session *session);
const char *proxy_filter_reply(const struct smtp_session *session);
/* The transaction is over: QUIT, unless content broke off. */
void proxy_filter_close(struct smtp_session *session);

#endif
