/* SPDX-License-Identifier: ISC */
/*
 * The answer of a policy service: name=value lines up to an empty one, of which the first "action" counts. The service is
 * a stranger's program: what it says is bounded and may be anything. Pure; fuzzed.
 */
#ifndef POSTHORN_ACCESS_POLICY_REPLY_H
#define POSTHORN_ACCESS_POLICY_REPLY_H

#include "common/base/str.h"

#define POLICY_REPLY_LIMIT 16000 /* octets, the empty line included; fits a stream's buffer */

enum policy_reply_status {
    POLICY_REPLY_OK = 0,    /* action and length are set */
    POLICY_REPLY_PARTIAL,   /* the empty line has not come yet */
    POLICY_REPLY_NO_ACTION, /* complete, without an action */
    POLICY_REPLY_NO_VALUE,  /* "action" without "=" */
    POLICY_REPLY_BAD,       /* holds a NUL */
    POLICY_REPLY_TOO_LONG,
};

struct policy_reply {
    struct slice action; /* in the input */
    size_t length;       /* octets of the reply; what follows was not asked for */
    bool inside_value;   /* PARTIAL: it broke off behind a "=" */
};

enum policy_reply_status policy_reply_parse(struct slice input, struct policy_reply *reply) MUST_CHECK;

#endif
