/* SPDX-License-Identifier: ISC */
/*
 * What a cleanup service would see (cleanup_service_name): in Postfix, content checks and address rewriting are read by
 * cleanup(8), with the -o overrides of its own line in master.cf and without those of the smtpd in front of it. The
 * supervisor puts the difference into the configuration of each service that takes mail in; the service takes it out.
 */
#ifndef POSTHORN_CONFIG_CLEANUP_VIEW_H
#define POSTHORN_CONFIG_CLEANUP_VIEW_H

#include "common/config/config.h"
#include "common/config/master_cf.h"

/* Adds what the cleanup service that the configuration names sees otherwise. main: without anybody's overrides. */
void cleanup_view_add(struct config *config, const struct config *main, const struct service_table *services);
/* A configuration with it on top; the caller frees it. */
struct config *cleanup_view_take(const struct config *config);
/* The name of the cleanup service when it has overrides, otherwise "". */
const char *cleanup_view_profile(const struct config *config);

#endif
