/* SPDX-License-Identifier: ISC */
/* backoff: the growing delay between restarts. Pure; the supervisor keeps one for each service. */
#include "master/backoff.h"

int64_t backoff_after_end(struct backoff *backoff, int64_t served_ms, int64_t longest_ms)
{
    if (served_ms >= BACKOFF_LONG_ENOUGH_MS)
        backoff->failures = 0;
    unsigned failures = backoff->failures++;
    if (failures == 0)
        return 0;
    int64_t delay = failures > 16 ? longest_ms : (int64_t)BACKOFF_FIRST_MS << (failures - 1);
    return delay < longest_ms ? delay : longest_ms;
}
