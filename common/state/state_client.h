/* SPDX-License-Identifier: ISC */
/* Questions to the state role, on a fiber. A role that is down is "not known" and is logged: it never stops mail. */
#ifndef POSTHORN_STATE_STATE_CLIENT_H
#define POSTHORN_STATE_STATE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/state/state_protocol.h"

struct state_window {
    uint32_t seconds;
    uint32_t limit; /* 0: none */
    uint32_t count; /* out: what the window holds now */
};

/* True and *value (in the arena) when the store knows the key. */
bool state_get(const char *store, const char *key, struct arena *arena, struct slice *value) MUST_CHECK;
/* Never waits. */
void state_put(const char *store, const char *key, struct slice value, uint32_t lifetime_s);
void state_delete(const char *store, const char *key);
/* 0: added to every window. n: window n - 1 is full and nothing was added. -1: cannot say. */
int state_charge(const char *store, const char *key, uint32_t amount, struct state_window *windows, unsigned count) MUST_CHECK;

#endif
