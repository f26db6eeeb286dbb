/* SPDX-License-Identifier: ISC */
/*
 * explain: passes what "posthorn explain" asks on to a service, and its answer back; the supervisor understands neither.
 * Either the running system is asked (pid/control), or "master -x" starts the service with what it asks, and nothing
 * else: no listener, no queue, no lock, so that a configuration can be tried before it is in force.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/process/ipc.h"
#include "common/process/master_protocol.h"
#include "master/supervisor.h"

#define ANSWER_MS 120000 /* many slow name servers */
#define REQUEST_LIMIT 16384

static const struct process *process_of_service(const char *service)
{
    const struct slot *slot;
    TAILQ_FOREACH (slot, &supervisor.slots, link)
        if ((slot->role == ROLE_SMTPD || slot->role == ROLE_SUBMISSION) && strcmp(slot->service, service) == 0)
            return slot->current;
    return NULL;
}

bool explain_ask(const char *service, struct slice request, struct str *answer, const char **problem)
{
    const struct process *process = process_of_service(service);
    *problem = "no such service";
    if (process == NULL)
        return false;
    *problem = "the service is not ready";
    if (!process->ready || process->channel == NULL)
        return false;
    *problem = "the service did not answer";
    return ipc_call(process->channel, MASTER_EXPLAIN, request, -1, answer, NULL, deadline_in_ms(ANSWER_MS)) == IPC_OK;
}

/* --- the control protocol is lines: bytes are hexadecimal ------------------------------- */

static void answer_request(const char *service, struct slice hex, struct str *out)
{
    struct str request = STR_EMPTY, answer = STR_EMPTY;
    const char *problem = "malformed request";
    if (str_decode_hex(&request, hex) && explain_ask(service, str_slice(&request), &answer, &problem)) {
        str_append(out, "ok ");
        str_append_hex(out, str_slice(&answer));
        str_append_char(out, '\n');
    } else
        str_printf(out, "error: service %s: %s\n", service, problem);
    str_free(&request);
    str_free(&answer);
}

void explain_answer_control(struct slice arguments, struct str *answer)
{
    struct arena *arena = arena_new();
    struct slice service;
    if (slice_next_token(&arguments, " ", &service))
        answer_request(arena_slice(arena, service), slice_trim(arguments), answer);
    else
        str_append(answer, "error: which service?\n");
    arena_free(arena);
}

/* --- master -x ---------------------------------------------------------------------------------- */

static bool is_needed(const struct wanted *wanted)
{
    switch (wanted->role) {
    case ROLE_LOOKUP:
    case ROLE_RESOLVER:
    case ROLE_KEYS:
    case ROLE_AUTH:
        return true;
    case ROLE_SMTPD:
    case ROLE_SUBMISSION:
        return strcmp(wanted->service, supervisor.explains) == 0;
    default:
        return false;
    }
}

void explain_reduce_plan(struct plan *plan)
{
    size_t kept = 0;
    bool has_service = false;
    for (size_t i = 0; i < plan->count; i++) {
        struct wanted *wanted = &plan->list[i];
        if (!is_needed(wanted)) {
            free(wanted->service);
            free(wanted->listen);
            config_free(wanted->config);
            continue;
        }
        free(wanted->listen);
        wanted->listen = NULL;
        has_service = has_service || wanted->role == ROLE_SMTPD || wanted->role == ROLE_SUBMISSION;
        plan->list[kept++] = *wanted;
    }
    plan->count = kept;
    if (!has_service)
        log_fatal("master.cf has no such service: %s", supervisor.explains);
}

static void explain_fiber(void *arg)
{
    struct str *request = arg, answer = STR_EMPTY;
    answer_request(supervisor.explains, slice_trim(str_slice(request)), &answer);
    if (fwrite(str_text(&answer), 1, answer.len, stdout) != answer.len || fflush(stdout) != 0)
        log_fatal("cannot write the answer: %s", strerror(errno));
    supervisor_stop(false);
}

void explain_and_stop(void)
{
    static struct str request;
    char data[4096];
    size_t len;
    while (request.len < REQUEST_LIMIT && (len = fread(data, 1, sizeof data, stdin)) > 0)
        str_append_bytes(&request, data, len);
    fiber_spawn("explain", explain_fiber, &request);
}
