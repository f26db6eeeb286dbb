/* SPDX-License-Identifier: ISC */
/* How long to wait before a process that ended is started again. */
#ifndef POSTHORN_MASTER_BACKOFF_H
#define POSTHORN_MASTER_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_LONG_ENOUGH_MS 2000 /* a process that served so long is no crash loop */

#define BACKOFF_FIRST_MS 100

struct backoff {
    unsigned failures; /* in a row */
};

/*
 * A process ended. served_ms: how long it was ready, negative when it never was. longest_ms bounds the delay
 * (service_throttle_time). Returns milliseconds: 0 the first time, then 100, 200, 400 ...: a few crashes in a row leave
 * service back within a second, a loop of crashes is soon slow.
 */
int64_t backoff_after_end(struct backoff *backoff, int64_t served_ms, int64_t longest_ms);

#endif
