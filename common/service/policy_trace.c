/* SPDX-License-Identifier: ISC */
/*
 * policy_trace: smtpd_policy_trace names clients whose live sessions are to be understood: every restriction, what it
 * asked and what it said becomes a log line. For clients that are not named it costs one look into an empty list.
 */
#include <stdlib.h>

#include "common/access/trace.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/service/service.h"

static void take_event(struct trace *trace, const struct trace_event *event)
{
    const char *client = trace->context;
    int indent = 2 * event->depth;
    switch (event->kind) {
    case TRACE_WORD:
        log_info("trace: %s: %*s%s: %s", client, indent, "", event->name, event->text);
        break;
    case TRACE_INPUT:
        log_info("trace: %s: %*s%s: %s = %s", client, indent, "", event->name, event->text, event->result);
        break;
    case TRACE_VERDICT:
        log_info("trace: %s: %*s-> %s%s%s", client, indent, "", event->name, *event->text != '\0' ? ": " : "", event->text);
        break;
    default:
        break; /* a list is named by its words; what is logged, is logged */
    }
}

void policy_trace_begin(const struct smtp_session *session)
{
    policy_trace_end(); /* XCLIENT made another client of it */
    if (smtpd.policy_trace.count == 0 || trace_current() != NULL || /* explained, not live */
        client_list_find(&smtpd.policy_trace, session->client_name, session->client_address, session->scratch) != CLIENT_LIST_YES)
        return;
    struct trace *trace = mem_alloc(sizeof *trace);
    trace->take = take_event;
    trace->context = mem_strdup(session->client);
    trace_attach(trace);
}

void policy_trace_end(void)
{
    struct trace *trace = trace_current();
    if (trace == NULL || trace->take != take_event)
        return;
    trace_attach(NULL);
    free(trace->context);
    free(trace);
}
