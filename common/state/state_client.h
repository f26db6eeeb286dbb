/* SPDX-License-Identifier: ISC */
/*
 * Questions to the state role, on a fiber. A role that is down is "not known" and is logged: it never stops mail, and limits
 * hold without it. A key or value that is too long for a store (state_protocol.h) is never stored and never found.
 */
#ifndef POSTHORN_STATE_STATE_CLIENT_H
#define POSTHORN_STATE_STATE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/process/ipc.h"
#include "common/state/state_protocol.h"

/* For role->edge(): a program that asks names it for ROLE_STATE. */
extern const struct ipc_edge state_client_edge;

/* False: it is being restarted, or not part of this server (posthorn explain on a configuration not in force); the questions
 * below would wait for it. */
bool state_is_there(void) MUST_CHECK;
/* True and *value (in the arena) when the store knows the key. */
bool state_get(const char *store, const char *key, struct arena *arena, struct slice *value) MUST_CHECK;
/* Never waits. */
void state_put(const char *store, const char *key, struct slice value, uint32_t lifetime_s);

/*
 * Limits. While the role is away they are kept by this process alone, from nothing: so a limit may be used up once more in each
 * process that keeps one, and not more often.
 */
/* 0: added to every window. n: window n - 1 is full and nothing was added. At most STATE_WINDOW_LIMIT windows; each is
 * known by its seconds, so all who charge a key should name the same ones. */
unsigned state_charge(const char *store, const char *key, uint32_t amount, struct state_window *windows,
                      unsigned count) MUST_CHECK;
/* May this attempt begin, and when? The question must be valid. What came of it is told with state_settle(). */
struct turn state_turn(const struct turn_question *question) MUST_CHECK;
/* Never waits. */
void state_settle(const struct turn_question *question);

#endif
