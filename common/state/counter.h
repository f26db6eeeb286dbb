/* SPDX-License-Identifier: ISC */
/* Counts in sliding windows: the value behind a key that is charged. Pure. */
#ifndef POSTHORN_STATE_COUNTER_H
#define POSTHORN_STATE_COUNTER_H

#include "common/state/state_protocol.h"

#define COUNTER_VALUE_LIMIT 600 /* bytes: no value is longer */

/*
 * Charges the windows; `stored` is the key's present value (empty: none, or one that is no counter). Fills in each
 * window's count. 0: added, and *value holds what to store until *expires_ms. 1 + index of the window that is full: nothing
 * to store. amount 0: only asked, nothing to store. now_ms is wall-clock time in milliseconds.
 */
unsigned counter_charge(struct slice stored, int64_t now_ms, uint32_t amount, struct state_window *windows,
                        unsigned count, struct str *value, int64_t *expires_ms);

#endif
