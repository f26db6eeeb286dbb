/* SPDX-License-Identifier: ISC */
/* The reader of main.cf: from text to settings. Pure: the fuzz target. */
#ifndef POSTHORN_CONFIG_MAIN_CF_H
#define POSTHORN_CONFIG_MAIN_CF_H

#include "common/config/config.h"

/* Files larger than this, or with more settings, are refused. */
#define MAIN_CF_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define MAIN_CF_MAX_SETTINGS 20000

/* Adds the settings of the text to the configuration. FILE names it in problems. */
void main_cf_parse(const char *file, struct slice text, struct config *config,
                   struct config_problems *problems);

/* Reads a whole file of at most MAIN_CF_MAX_BYTES; false with errno set. */
bool config_read_file(const char *path, struct str *content) MUST_CHECK;

#endif
