/* SPDX-License-Identifier: ISC */
/*
 * What "posthorn explain" asks a service (through the supervisor, MASTER_EXPLAIN): a client and its message, and the
 * answer: the events of a simulated dialogue, as common/access/trace.h describes them. Pure.
 */
#ifndef POSTHORN_ACCESS_EXPLAIN_PROTOCOL_H
#define POSTHORN_ACCESS_EXPLAIN_PROTOCOL_H

#include "common/access/trace.h"
#include "common/process/ipc_codec.h"

#define EXPLAIN_REQUEST_LIMIT 4096   /* bytes */
#define EXPLAIN_EVENT_LIMIT 5000     /* further ones are dropped */

struct explain_request {
    char *address, *port;
    char *name, *reverse_name; /* "": asked of DNS; "unknown": there is none */
    char *helo, *sender, *recipient; /* recipient "": the dialogue ends before it */
    char *login, *mechanism;   /* "": not logged in */
    char *policy;              /* what policy services say; "": they are really asked */
    char *known_sender, *known_recipient; /* what the running server remembers of them: "0 text", a verify_status; "": nothing */
    bool is_encrypted;         /* after STARTTLS */
    bool only_recalls;         /* no dialogue: one TRACE_INPUT for each address of which something is remembered, its result as above */
};

void explain_request_encode(const struct explain_request *request, struct str *out);
bool explain_request_decode(struct slice body, struct arena *arena, struct explain_request *request) MUST_CHECK;

/* Events follow each other without a count. */
void trace_event_encode(const struct trace_event *event, struct str *out);
bool trace_events_decode(struct slice body, struct arena *arena, struct trace_event **events, size_t *count) MUST_CHECK;

#endif
