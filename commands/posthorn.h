/* SPDX-License-Identifier: ISC */
/* The subcommands of posthorn, one file each: commands/posthorn_NAME.c, one line in the table of posthorn.c. */
#ifndef POSTHORN_COMMANDS_POSTHORN_H
#define POSTHORN_COMMANDS_POSTHORN_H

#include "common/config/config.h"

struct posthorn_command {
    const char *name;
    const char *summary; /* one line for "posthorn help" */
    /* arguments[0] is the first one after the name. Returns the exit status. CONFIG is NULL for posthorn_check and
     * posthorn_explain, which load it by themselves. */
    int (*run)(const struct config *config, int count, char **arguments);
};

extern const struct posthorn_command posthorn_status;
extern const struct posthorn_command posthorn_probe;
extern const struct posthorn_command posthorn_check;
extern const struct posthorn_command posthorn_explain;

#endif
