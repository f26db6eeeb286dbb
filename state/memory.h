/* SPDX-License-Identifier: ISC */
/* The server's memory as the role serves it: the store, kept going whatever happens to its file. */
#ifndef POSTHORN_STATE_MEMORY_H
#define POSTHORN_STATE_MEMORY_H

#include "state/store.h"

/* Opens state.mdb in the working directory; a file that cannot be used is set aside with a warning. On a fiber. */
void memory_open(void);
/* Commits what is left. */
void memory_close(void);

bool memory_get(const char *name, const char *key, struct slice *value) MUST_CHECK;
void memory_put(const char *name, const char *key, struct slice value, int64_t expires_ms);

#endif
