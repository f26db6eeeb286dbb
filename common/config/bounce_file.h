/* SPDX-License-Identifier: ISC */
/*
 * The text of bounce_template_file on its way to the queue, which writes notifications and may not read files outside the
 * spool: the supervisor reads it and puts it into the queue's configuration.
 */
#ifndef POSTHORN_CONFIG_BOUNCE_FILE_H
#define POSTHORN_CONFIG_BOUNCE_FILE_H

#include "common/config/config.h"

/* Reads the file, when one is named. A file that cannot be read is a problem, not a fatal one. */
void bounce_file_attach(struct config *config, struct config_problems *problems);
/* Its text; NULL when there is none. */
const char *bounce_file_text(const struct config *config);

#endif
