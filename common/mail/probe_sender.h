/* SPDX-License-Identifier: ISC */
/* The envelope sender of address probes (address_verify_sender): fixed, or with the time in it, so that spammers who collect
 * it gain nothing (address_verify_sender_ttl). Pure. */
#ifndef POSTHORN_MAIL_PROBE_SENDER_H
#define POSTHORN_MAIL_PROBE_SENDER_H

#include "common/base/arena.h"
#include "common/config/config.h"

/* "" for the null sender. now: seconds since 1970. */
char *probe_sender_make(const struct config *config, int64_t now, struct arena *arena);
/* Is this the sender of probes now, or was it, or will it be, one period from now? Never of the null sender. */
bool probe_sender_matches(const struct config *config, const char *address, int64_t now);

#endif
