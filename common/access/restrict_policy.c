/* SPDX-License-Identifier: ISC */
/* restrict_policy: check_policy_service: what a policy service says is an action of access(5); when it cannot be asked, its
 * default_action is ("451 4.3.5 Server configuration problem"). */
#include "common/access/policy_service.h"
#include "common/access/trace.h"
#include "common/base/log.h"

#define QUERY_NAME "policy query" /* stands for the table's key in warnings */

static char *printable(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);
    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = ' ';
    return copy;
}

/* A default action may name a class that asks again: then, and no deeper, the answer is fixed. */
static enum verdict run_default(struct evaluation *evaluation, const struct policy_service *service)
{
    const char *action = service->spec.default_action;
    if (evaluation->policy_depth > 0)
        action = "451 4.3.5 Server configuration problem";
    evaluation->policy_depth++;
    enum verdict verdict = restrict_access_action(evaluation, service->spec.name, action, QUERY_NAME, evaluation->subject);
    evaluation->policy_depth--;
    return verdict;
}

/* NULL: no answer; warnings say why. */
static const char *ask(struct evaluation *evaluation, struct policy_service *service)
{
    struct smtp_session *session = evaluation->session;
    struct smtpd_client *client = session->owner;
    struct str request = STR_EMPTY;
    if (client->supposed != NULL && client->supposed->policy_action != NULL) {
        trace_input("policy service", service->spec.label, "%s (supposed: it was not asked)", client->supposed->policy_action);
        return client->supposed->policy_action;
    }
    policy_request_put(&request, evaluation, service);
    if (session->arena != NULL)
        client->holds_policy = true;
    const char *action = policy_service_ask(service, session, str_slice(&request), session->scratch);
    str_free(&request);
    trace_input("policy service", service->spec.label, "%s", action != NULL ? action : "no answer");
    return action;
}

enum verdict restrict_policy_service(struct evaluation *evaluation, const char *name)
{
    struct arena *arena = evaluation->session->scratch;
    const char *argument = restrict_argument(evaluation);
    struct policy_service *service = argument != NULL ? policy_service_find(argument) : NULL;
    if (service == NULL) {
        log_warning("restriction %s must be followed by transport:server", name);
        return restrict_broken(evaluation);
    }
    const char *action = ask(evaluation, service);
    if (action == NULL)
        return run_default(evaluation, service);
    if (smtpd.server.use_utf8 && !text_is_utf8(slice_of(action))) {
        log_warning("malformed UTF-8 in policy server %s response: \"%s\"", service->spec.name, action);
        return run_default(evaluation, service);
    }
    return restrict_access_action(evaluation, service->spec.name, printable(arena, action), QUERY_NAME, evaluation->subject);
}
