/* SPDX-License-Identifier: ISC */
/* Address verification as a session sees it: what is remembered, or what a probe finds out within the time allowed. */
#ifndef POSTHORN_ACCESS_VERIFY_CLIENT_H
#define POSTHORN_ACCESS_VERIFY_CLIENT_H

#include "common/config/config.h"
#include "common/mail/verify_record.h"

struct verify_settings {
    int64_t poll_ms; /* how long a client waits for a probe */
    int64_t positive_expire, positive_refresh, negative_expire, negative_refresh; /* seconds */
    const char *service_name;
};
extern struct verify_settings verify_settings;
void verify_configure(const struct config *config);

/* The sender of our own probes: nobody needs to verify it. */
bool verify_is_probe_sender(const char *address);

/* False: cannot be asked, and has been logged. *text in the arena. */
bool verify_address(const char *address, struct arena *arena, enum verify_status *status, const char **text) MUST_CHECK;
/* Only what is remembered, for those who must have no effect. False: nothing is. */
bool verify_recall(const char *address, struct arena *arena, enum verify_status *status, const char **text) MUST_CHECK;

#endif
