/* SPDX-License-Identifier: ISC */
/* posthorn status: the supervisor's processes, one a line: role, pid, state, service, restarts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands/control_client.h"
#include "commands/posthorn.h"
#include "common/process/lockfile.h"

static int run(const struct config *config, int count UNUSED, char **arguments UNUSED)
{
    struct str answer = STR_EMPTY;
    if (!control_ask(config, "status", &answer)) {
        int saved = errno;
        if (lockfile_is_held(config))
            fprintf(stderr, "posthorn: the mail system runs, but does not answer: %s\n", strerror(saved));
        else
            fprintf(stderr, "posthorn: the mail system is not running\n");
        return 1;
    }
    fputs(str_text(&answer), stdout);
    str_free(&answer);
    return 0;
}

const struct posthorn_command posthorn_status = {"status", "which processes run, and how they are", run};
