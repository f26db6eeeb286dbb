/* SPDX-License-Identifier: ISC */
/*
 * A policy service as check_policy_service names it (SMTPD_POLICY_README): "inet:host:port", "unix:path", or in braces
 * with options behind it. Read by smtpd and submission, which use it, and by lookup, which connects to it. Pure.
 */
#ifndef POSTHORN_MAIL_POLICY_SPEC_H
#define POSTHORN_MAIL_POLICY_SPEC_H

#include "common/base/arena.h"
#include "common/base/status.h"

#include <stdint.h>

struct policy_spec {
    const char *name;      /* for messages: "inet:host:port", "{ inet:host:port timeout=1 }" */
    const char *label;     /* for the log: "host:port", "private/policy" */
    const char *endpoint;  /* for LOOKUP_CONNECT: "unix:path" or "inet:host:port" */
    int64_t timeout, max_idle, max_ttl, retry_delay; /* seconds */
    int64_t request_limit; /* of one connection; 0: any number */
    int64_t try_limit;
    const char *default_action, *context;
};

/*
 * Reads the argument of check_policy_service, braces already removed. *spec comes with the values that hold when an option
 * is missing; texts live in the arena. NULL, or what is wrong with it, in Postfix's words.
 */
const char *policy_spec_parse(const char *text, struct arena *arena, struct policy_spec *spec) MUST_CHECK;

/* The endpoint alone, or NULL when there is none in this text. */
const char *policy_spec_endpoint(const char *text, struct arena *arena);

/* smtpd_proxy_filter: "host:port", "port", "inet:..." or "unix:path", as an endpoint; NULL: it is none of these. */
const char *proxy_filter_endpoint(const char *text, struct arena *arena);

#endif
