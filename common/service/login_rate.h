/* SPDX-License-Identifier: ISC */
/* What a login may send in a time ("100/1h, 1000/1d"). Pure; fuzzed. */
#ifndef POSTHORN_SERVICE_LOGIN_RATE_H
#define POSTHORN_SERVICE_LOGIN_RATE_H

#include "common/state/state_protocol.h"

struct login_rate {
    struct state_window windows[STATE_WINDOW_LIMIT];
    unsigned count; /* 0: no limit */
};

/*
 * Reads NUMBER/TIME pairs, separated by commas or blanks; TIME is a number with s, m, h, d or w, or only the unit; without
 * it, an hour. 0, "none" and the empty text are no limit. False: malformed, or more than STATE_WINDOW_LIMIT windows.
 */
bool login_rate_parse(struct slice text, struct login_rate *rate) MUST_CHECK;

/* "1h", "90m", "1d": as people write it. */
const char *login_rate_period(uint32_t seconds, struct arena *arena);

#endif
