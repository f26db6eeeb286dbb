/* SPDX-License-Identifier: ISC */
/* Asking the running supervisor for something, over pid/control in the queue directory. */
#ifndef POSTHORN_COMMANDS_CONTROL_CLIENT_H
#define POSTHORN_COMMANDS_CONTROL_CLIENT_H

#include "common/base/str.h"
#include "common/config/config.h"

/*
 * Sends one word ("status", "probe", "reload", "stop", "logrotate") and collects the answer until the
 * supervisor ends the connection. False, with errno, when there is nobody to ask or no right to.
 */
bool control_ask(const struct config *config, const char *word, struct str *answer) MUST_CHECK;

/* The configuration that MAIL_CONFIG or the built-in default names; log_fatal when it cannot be read. */
struct config *control_load_config(void);

#endif
