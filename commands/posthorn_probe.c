/* SPDX-License-Identifier: ISC */
/*
 * posthorn probe: what each running role could do if it were taken over. Every role tries it from inside its own
 * confinement; the answer to each try is a line: role, pid, what was tried, the error or ALLOWED.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands/control_client.h"
#include "commands/posthorn.h"

static int run(const struct config *config, int count UNUSED, char **arguments UNUSED)
{
    struct str answer = STR_EMPTY;
    struct slice rest, line, field;
    if (!control_ask(config, "probe", &answer)) {
        fprintf(stderr, "posthorn: cannot ask the supervisor: %s\n", strerror(errno));
        return 1;
    }
    rest = str_slice(&answer);
    while (slice_next_token(&rest, "\n", &line)) {
        static const int widths[] = {10, 8, 40, 0};
        for (size_t i = 0; i < 4 && slice_next_token(&line, "\t", &field); i++)
            printf("%-*.*s%s", widths[i], SLICE_ARGS(field), i == 3 ? "" : " ");
        putchar('\n');
    }
    str_free(&answer);
    return 0;
}

const struct posthorn_command posthorn_probe = {"probe", "what each role can do from inside its confinement", run};
