/* SPDX-License-Identifier: ISC */
/*
 * Attempts that may fail (logins), let through one after the other: those of one source (a client's address) and those at one
 * subject (a login name) share a schedule each, however many connections make them. Pure, but for the memory that it is given.
 *
 * - The first TURNSTILE_FREE failures of a window cost nothing. From then on attempts keep a distance that doubles with each
 *   failure, and those that come earlier wait in line. An attempt that would wait longer than the longest distance is refused.
 * - Attempts that have begun count before they have failed: whoever begins fifty at once has not fifty for free.
 * - A source that has reached a subject before passes by both lines, as long as it does not fail itself: guesses by others do not
 *   lock people out of their own places.
 * - A source that has not failed yet is delayed by a subject's failures, but neither refused nor put in line behind others.
 */
#ifndef POSTHORN_STATE_TURNSTILE_H
#define POSTHORN_STATE_TURNSTILE_H

#include "common/state/state_protocol.h"

#define TURNSTILE_FREE 3      /* failures: people mistype */
#define TURNSTILE_PARALLEL 10 /* attempts under way that are not suspicious */

/* Where the entries are. get: *value is good until the next call. */
struct turnstile_memory {
    bool (*get)(const char *store, const char *key, struct slice *value);
    void (*put)(const char *store, const char *key, struct slice value, int64_t expires_ms);
};

/* Asks for a turn at now_ms (wall clock), and takes the place in line. */
struct turn turnstile_take(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms);
/* What became of it. */
void turnstile_settle(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms);

/* Milliseconds between attempts after so many failures: 0 at first, then first_ms, twice that, ... longest_ms. */
uint32_t turnstile_distance(uint32_t failures, uint32_t first_ms, uint32_t longest_ms);

#endif
